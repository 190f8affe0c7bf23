"""A worker of a multi-worker search's policy: `python two_drivers.py OUT`, with TF_CONFIG set; worker 0 writes OUT."""

import json
import sys
from pathlib import Path

from keras_nasnet.search.controller.workers import Crew
from keras_nasnet.training.devices import Devices
from tests.support.small_policy import learn, make

devices = Devices("multiworker")
crew = Crew(devices)


def controllers():
    return {"one": make("ppo", strategy=devices.tf_strategy)}


if devices.is_chief:
    with crew.dismissed_at_the_end():
        crew.begin({"name": "small"})
        led = crew.led(controllers())["one"]
        log = learn(led, 1)
        led.set_state(led.get_state())
        log += learn(led, 1)
        Path(sys.argv[1]).write_text(json.dumps(log))
else:
    crew.follow(lambda plan: controllers())
