"""Feeds Weights & Biases from JSON lines on stdin. The first line holds the arguments of wandb.init(); each other one
a step with its values and pictures, or the run's exit code. The end of stdin ends the run."""
import json
import sys

import wandb

run = wandb.init(**json.loads(sys.stdin.readline()))
exit_code = 255  # of a trainer that was killed
for line in sys.stdin:
    message = json.loads(line)
    if "exit_code" in message:
        exit_code = message["exit_code"]
        continue
    values = message.get("values", {})
    for name, image in message.get("images", {}).items():
        values[name] = wandb.Image(image["path"], caption=image["caption"])
    run.log(values, step=message["step"])
run.finish(exit_code=exit_code)
