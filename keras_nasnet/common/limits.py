"""Limits on what comes from outside, in one place; docs/security.md lists them.

A file, archive, configuration or download that asks for more is refused before memory or time is spent on it. They are
far above what honest files need. Whoever needs more sets the constant, such as `limits.IMAGE_PIXELS = 2**28`.
"""

# Images.
IMAGE_BYTES = 2**28  # of one file: 256 MiB
IMAGE_PIXELS = 2**27  # of one image: 134 million, 400 MB when decoded
IMAGE_LENGTH = 2**18  # pixels of one side of an image
IMAGE_READS = 300_000  # of the parts of a file, besides one for each 256 bytes
IMAGE_HEADER_BYTES = 2**24  # in front of a JPEG's pixels: 16 MiB
IMAGE_SCANS = 100  # of a progressive JPEG
IMAGE_TILES = 2**18  # strips or tiles of a TIFF
DECODING_BYTES = 2**30  # that all decoding threads of a process may hold at the same time
SERVED_PIXELS = 2**25  # of an image that a SavedModel decodes: up to 1.6 GB in TensorFlow's operations
EXACT_PIXELS = 2**26  # of an image; larger ones may be reduced as they are decoded
IMAGE_SIDE = 4096  # pixels of a network's input, to which images are scaled
PIXEL_SCALE = 1e6  # mean and standard deviation of pixels; the latter is no smaller than its inverse

# Text: JSON, TOML, YAML, CSV, XML.
DOCUMENT_BYTES = 2**24  # of a configuration, genotype, plan, recipe, table or file of metadata: 16 MiB
YAML_BYTES = 2**20  # of a YAML document, whose reader takes ten seconds for so many
TABLE_BYTES = 2**28  # of a table of labels: 256 MiB (ImageNet's 1.3 million rows take some 60)
ANNOTATION_BYTES = 2**31  # of a file of COCO annotations: 2 GiB (train2017 has 450 MB)
DOCUMENT_VALUES = 1_000_000  # values in a YAML document, its aliases written out
DOCUMENT_DEPTH = 100  # of lists and tables within each other
INTEGER_DIGITS = 19  # what 64 bits hold
NAME_CHARACTERS = 1000  # of a name of a class, model, file or setting

# Networks.
CELL_BLOCKS = 100  # of one cell of a genotype (those of the paper have 5)
CELL_INPUTS = 100  # of one cell
CELL_OUTPUTS = 1000  # hidden states in all outputs of one cell
NETWORK_CELLS = 1000  # the paper's largest has 18 and two reductions
NETWORK_BLOCKS = 5000  # in all cells: building them takes minutes
NETWORK_FILTERS = 100_000  # of one layer
NETWORK_CLASSES = 1_000_000  # outputs
SETTING_VALUES = 1000  # in a list of a detector's settings, such as its anchors' aspect ratios
NETWORK_PARAMETERS = 2**32  # the paper's largest has 89 million

# Archives and downloads.
ARCHIVE_MEMBERS = 100_000  # of an archive, wanted or not
WEIGHTS_BYTES = 2**35  # of a weight file, also unpacked: 32 GiB
DOWNLOAD_BYTES = 2**35  # of a download whose size nobody has stated
UNPACKED_BYTES = 2**28  # of any archive: 256 MiB, and beyond it
UNPACKED_TIMES = 20  # times as much as it is packed; weights pack to nine tenths
READING_SECONDS = 300  # of a file that another process reads first, because its library may end the process
METADATA_BYTES = 2**24  # of a member of an archive that is no weights

# Arrays in .npz files.
ARRAY_BYTES = 2**36  # of one array: 64 GiB
FOLDER_DEPTH = 64  # folders within each other

# Searches.
STORE_BYTES = 2**33  # of a search's store: 8 GiB (20,000 children take 20 MB)
STORE_ROWS = 5_000_000  # of one of its tables
STORE_VALUE_BYTES = 2**28  # of one value in it, such as the state of a controller: 256 MiB
STORE_TEXT = 2**20  # characters of one text in it
STORE_SECONDS = 120.0  # in which it must be found sound
NUMBER = 1e100  # above any reward, loss or count of a search
TIME = 1e11  # UNIX time: the year 5138
SEARCH_BUDGET = 10**8  # children of a controller, or of one proposal
SEARCH_EPOCHS = 10**6  # of a child
SEARCH_IMAGES = 10**9  # of a child's training set
SEARCH_SETTING = 10**5  # of settings that count something else: finalists, parts of a batch
SEARCH_PARTS = 100  # arms of a search, and rungs of its selection
SEARCH_SECONDS = 10**9  # of an evaluation: 31 years
SEARCH_WORKERS = 4096  # processes
CONTROLLER_POPULATION = 10**6  # of evolution
CONTROLLER_UNITS = 10_000  # of a policy's LSTM
CONTROLLER_BATCH = 10**5  # children of one update
ACCURACIES_BYTES = 2**26  # of a table of accuracies: 64 MiB
