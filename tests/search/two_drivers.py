"""A worker of a multi-worker search's policy: `python two_drivers.py OUT`, with TF_CONFIG set; worker 0 writes OUT."""

import json
import sys
from pathlib import Path

from small_policy import SPACE, learn, make

from keras_nasnet.search.controller.workers import Leader, follow
from keras_nasnet.training.distribution import Devices

devices = Devices("multiworker")
controller = make("ppo", strategy=devices.tf_strategy)
if devices.is_chief:
    leader = Leader(controller, devices)
    log = learn(leader, 2)
    leader.set_state(leader.get_state())
    log += learn(leader, 1)
    leader.dismiss()
    Path(sys.argv[1]).write_text(json.dumps([list(SPACE.sizes), log]))
else:
    follow(controller, devices)
