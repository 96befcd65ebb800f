"""The command line: each command parses its words, calls one function and prints what it returned."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from labkit import __version__
from labkit.errors import LabError

OPTIONS = ("port", "nodes", "node_cpus", "node_memory", "bundle", "kubernetes", "context", "namespace", "image")
Command = Callable[[argparse.Namespace], int]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did its job, 1 when it failed, 2 when the words were wrong, 130 on Ctrl-C."""
    arguments = parser().parse_args(words)
    try:
        return int(arguments.command(arguments) or 0)
    except LabError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="labkit", description="A lab kit for a course on distributed machine learning.")
    top.add_argument("--version", action="version", version=f"labkit {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=command)
        return sub

    def named(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("--name", default="labkit", help="the cluster's name (default: labkit)")
        return sub

    sub = named(add("up", up, "start a local cluster, or what is missing of it"))
    engines = "embedded, kind, or existing: one that is there (default: what made it; embedded for a new one)"
    sub.add_argument("--engine", help=engines)
    sub.add_argument("--nodes", type=int, metavar="N", help="machines in a new cluster (default: 1)")
    sub.add_argument("--node-cpus", type=int, metavar="N", help="the CPUs of each (default: all of this machine's)")
    sub.add_argument("--node-memory", metavar="SIZE", help="the memory of each, as in 4Gi (default: this machine's)")
    sub.add_argument("--bundle", metavar="DIR", help="kind: take all from this bundle (default: $LABKIT_BUNDLE)")
    sub.add_argument("--kubernetes", metavar="VERSION", help="kind: 1.33 or 1.34 (default: 1.34)")
    sub.add_argument("--port", type=int, help="the API's port on 127.0.0.1 (default: a free one)")
    sub.add_argument("--context", metavar="NAME", help="existing: a context of your kubeconfig")
    sub.add_argument("--namespace", metavar="NS", help="existing: the namespace to keep to (default: the context's)")
    sub.add_argument("--image", metavar="NAME", help="existing: the lab image in a registry (default: labkit/lab:1)")

    sub = named(add("down", down, "stop the cluster and keep its state"))
    sub.add_argument("--purge", action="store_true", help="delete the state as well")

    sub = named(add("status", status, "show what runs"))
    sub.add_argument("-o", "--output", choices=["text", "json"], default="text")
    sub.add_argument("--watch", action="store_true", help="keep showing it as it changes")

    named(add("kubeconfig", kubeconfig, "print the path of the cluster's kubeconfig"))

    sub = named(add("logs", logs, "print a pod's log, or the cluster's own when no pod is named"))
    sub.add_argument("pod", nargs="?", help="POD, or NAMESPACE/POD")
    sub.add_argument("-f", "--follow", action="store_true")
    sub.add_argument("-c", "--container")

    sub = add("doctor", doctor, "say what this machine has, what is missing and how to get it")
    sub.add_argument("-o", "--output", choices=["text", "json"], default="text")

    sub.add_argument("--bundle", metavar="DIR", help="check a bundle instead: each file, by its checksum")

    sub = add("bundle", bundle, "make a folder with all that the engine kind needs, for machines without a network")
    sub.add_argument("action", choices=["create"])
    sub.add_argument("folder", metavar="DIR", help="where; what is there and right already is kept")
    sub.add_argument("--kubernetes", metavar="VERSION", help="1.33 or 1.34 (default: 1.34)")
    sub.add_argument(
        "--platform", metavar="MACHINE", choices=["x86_64", "aarch64"], help="of the wheels (default: here)"
    )
    sub.add_argument("--no-wheels", action="store_true", help="leave out the kit's own requirements")
    take = "take this image of Docker's instead of the registry's; ROLE as in cluster/versions.yaml, or node, base"
    sub.add_argument("--image", nargs=2, action="append", default=[], metavar=("ROLE", "NAME"), help=take)
    copy = "take this copy of upstream's repository instead of GitHub's"
    sub.add_argument("--upstream", nargs=2, action="append", default=[], metavar=("OPERATOR", "DIR"), help=copy)

    sub = add("node", node, "let a machine of the cluster fail, or give it its power again")
    sub.add_argument("--name", help="the cluster's name (default: that of KUBECONFIG, or labkit)")
    sub.add_argument("action", choices=["stop", "start"])
    sub.add_argument("node", metavar="NODE", help="its name, as kubectl get nodes says it")

    named(add("ui", ui, "open the Argo UI")).add_argument("--no-browser", action="store_true")

    sub = add("run", run, "execute notebooks headless and report")
    which = "notebooks or folders of them (default: notebooks here, or else the kit's)"
    sub.add_argument("paths", nargs="*", metavar="PATH", help=which)
    sub.add_argument("--out", required=True, help="the folder of the report")
    sub.add_argument(
        "--engine", default="embedded", help="start a cluster of this engine for the run: embedded (default), kind"
    )
    sub.add_argument("--nodes", type=int, metavar="N", help="machines of that cluster (default: 1)")
    sub.add_argument("--cluster", help="use this running cluster instead of starting one")
    sub.add_argument("--jobs", type=int, default=0, help="notebooks at once (default: by cores)")
    given = "set a parameter of the notebooks, e.g. -p SCALE class (ci, class or full); may be given more than once"
    sub.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=given)
    sub.add_argument("--timeout", type=float, default=1800, help="seconds for a notebook (default: 1800)")
    sub.add_argument("--cell-timeout", type=float, default=600, help="seconds for a cell (default: 600)")

    sub = named(add("lab", lab, "open JupyterLab with the cluster up and the notebooks in a work folder"))
    sub.add_argument("--dir", help="the work folder (default: ~/labkit-work); what is there is never overwritten")
    sub.add_argument("--no-browser", action="store_true", help="print JupyterLab's address and open nothing")
    sub.add_argument("--port", type=int, default=8888, help="JupyterLab's port (default: 8888, or the next free one)")
    return top


def up(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    options = {name: getattr(arguments, name) for name in OPTIONS}
    given = {name: value for name, value in options.items() if value is not None}
    found = cluster.up(arguments.name, arguments.engine, **given)
    _print_status(found)
    print(f"\nexport KUBECONFIG={shlex.quote(str(found['kubeconfig']))}")
    return 0


def down(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    did = cluster.down(arguments.name, arguments.purge)
    done = "stopped and deleted" if arguments.purge else "stopped, its state kept"
    print(f"cluster {arguments.name}: {done if did else 'nothing to stop'}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    if arguments.watch:
        from labkit import show

        show.watch_status(arguments.name)
        return 0
    found = cluster.status(arguments.name)
    if arguments.output == "json":
        print(json.dumps(found, indent=2))
    else:
        _print_status(found)
    return 0 if found["state"] == "running" else 1


def _print_status(found: dict[str, object]) -> None:
    for key in ("name", "engine", "state", "api", "folder", "kubeconfig"):
        if found.get(key):
            print(f"{key:12} {found[key]}")
    for key in ("daemons", "nodes", "node", "mechanisms", "pods"):
        part = found.get(key)
        if isinstance(part, dict) and part:
            print(f"{key:12} " + "; ".join(f"{k}: {v or 'stopped'}" for k, v in part.items()))
    for note in found.get("notes") or []:  # type: ignore[attr-defined]
        print(f"{'note':12} {note}")


def kubeconfig(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    print(cluster.kubeconfig(arguments.name))
    return 0


def logs(arguments: argparse.Namespace) -> int:
    from labkit import client, cluster

    if not arguments.pod:
        print(cluster.daemon_logs(arguments.name))
        return 0
    cluster.use(arguments.name)
    namespace, _, pod = arguments.pod.rpartition("/")
    for text in client.logs(
        pod, namespace=namespace or "default", container=arguments.container, follow=arguments.follow
    ):
        print(text, end="", flush=True)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    from labkit import doctor as checkup

    findings = checkup.examine_bundle(arguments.bundle) if arguments.bundle else checkup.examine()
    if arguments.output == "json":
        print(json.dumps([f.as_dict() for f in findings], indent=2))
    else:
        for finding in findings:
            print(finding.line())
    return 0 if all(f.ok for f in findings) else 1


def bundle(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from labkit.kind import bundling

    made = bundling.create(
        arguments.folder,
        arguments.kubernetes,
        stand_ins=dict(arguments.image),
        upstream={operator: Path(folder) for operator, folder in arguments.upstream},
        with_wheels=not arguments.no_wheels,
        machine=arguments.platform,
    )
    size = sum(file["size"] for file in made.content["files"].values()) / 2**20
    print(
        f"{made.folder}: {len(made.content['files'])} files, {size:.0f} MB\n\nlabkit up --engine kind --bundle {made.folder}"
    )
    return 0


def node(arguments: argparse.Namespace) -> int:
    from labkit import cluster

    name = arguments.name or cluster.spoken_to()
    act = cluster.stop_node if arguments.action == "stop" else cluster.start_node
    print(f"cluster {name}: {act(arguments.node, name)}")
    return 0


def ui(arguments: argparse.Namespace) -> int:
    from labkit import ui as pages

    pages.open(arguments.name, browser=not arguments.no_browser)
    return 0


def run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from labkit import paths, runner

    here = Path("notebooks")
    report = runner.run(
        arguments.paths or [here if here.is_dir() else paths.kit() / here],
        out=arguments.out,
        engine=arguments.engine,
        cluster_name=arguments.cluster,
        nodes=arguments.nodes,
        jobs=arguments.jobs,
        parameters=dict(arguments.parameter),
        timeout=arguments.timeout,
        cell_timeout=arguments.cell_timeout,
    )
    return 0 if report.passed else 1


def lab(arguments: argparse.Namespace) -> int:
    from labkit import lab as jupyter

    jupyter.open(arguments.name, directory=arguments.dir, port=arguments.port, browser=not arguments.no_browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
