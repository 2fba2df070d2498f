"""The classes and their order: the only place that knows them. Index 1 (`cataract`) is the positive class."""

NORMAL = "normal"
CATARACT = "cataract"
UNGRADABLE = "ungradable"  # a result of its own, never a class of the models

CLASSES = (NORMAL, CATARACT)
POSITIVE = CLASSES.index(CATARACT)
