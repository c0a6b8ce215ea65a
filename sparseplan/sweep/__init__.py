"""Run the trainings of a calibration: a driver, its workers on this machine or a SLURM cluster, and what survives.

    folder      where everything is; a lock against two drivers
    machine     what a worker finds here: torch, devices
    probe       how fast this device trains, before the sweep
    estimate    seconds of a segment and of a whole sweep
    state       what is finished, what can start, read off the files
    executors   local, slurm: start tasks, say which have ended
    driver      the loop that brings these together
    progress    how far the running trainings are

The records in `runs/` are the truth; everything else follows from them and the recipe. No module here imports torch.
"""
