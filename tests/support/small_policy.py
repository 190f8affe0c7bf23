"""A small space, a small policy, and a reward for its children."""

from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Observation

# Eight tokens with 2 or 3 legal values: a graph that is quickly traced.
SPACE = get_space(
    {"name": "nasnet", "blocks": 1, "operations": ["sep_conv_3x3", "identity", "conv_3x3"], "combines": ["add"]}
)


def make(name="ppo", seed=0, strategy=None, **options):
    return make_controller(name, SPACE, seed, strategy, **{"units": 8, "batch": 6, "learning_rate": 0.03, **options})


def value(tokens):
    """The better, the more tokens are 1."""
    return 0.1 + 0.9 * sum(token == 1 for token in tokens) / len(tokens)


def told(proposals):
    return [Observation(one.tokens, one.log_prob, value(one.tokens)) for one in proposals]


def learn(controller, updates):
    """Lets a controller learn; returns what it asked for and said in each update."""
    log = []
    for _ in range(updates):
        proposals = controller.ask(controller.batch)
        numbers = controller.tell(told(proposals))
        log.append([[[list(one.tokens), one.log_prob] for one in proposals], numbers])
    return log
