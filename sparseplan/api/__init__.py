"""The front door for Python: what the commands do, as functions, with the same answers. The commands are thin over it.

`import sparseplan` gives every name here and imports a module of it only when one of its names is used.

    arguments   numbers as people write them
    rendering   answers as the terminal prints them, tables in a notebook
    planning    load_law, optimal, predict
    devices     devices of training and of inference, and questions in hours or money
    plotting    pictures of plans
    maps        sparsity_map
    explore     explore
    models      load_model, describe_model
    fitting     fit
    next_runs   next_runs
"""
