# says: training_times is a tuple, expected a function
training_times = (30.0, 12.0)
