from types import ModuleType

from pathway.io import python as python

redis: ModuleType
