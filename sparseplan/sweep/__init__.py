"""Run the trainings of a calibration: a driver, its workers on this machine or a SLURM cluster, and what survives.

    folder      where everything lies; a lock against two drivers
    manifest    what the folder is a sweep of; refuses a changed recipe
    machine     what a worker finds here: torch, devices
    probe       how fast this device trains, before the sweep
    estimate    seconds of a segment and of a whole sweep
    board       what is finished, what can start, read off the files
    executors   local, slurm: start tasks, say which have ended
    driver      the loop that brings these together
    watch       how far the running trainings are
    table       the runs table from the records

The records in `runs/` are the truth; everything else follows from them and the recipe. No module here imports torch.
"""
