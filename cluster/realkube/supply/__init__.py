"""What a real cluster is made of, and where it comes from: versions, images, the lab image, the operators' manifests, wheels.

A bundle holds all of it for machines without a network.
"""
