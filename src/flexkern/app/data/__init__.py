"""Data sets: readers that return a `Task`, views of tasks, and augmentation. Needs the `data` extra.

`load_task(name, data_dir)` reads a data set by name and `list_tasks()` lists the names. `split_task` takes a
validation set out of the training data, `standardise` normalises, and `build_augmentation` changes batches.
"""

try:
    import numpy as _numpy  # noqa: F401
except ImportError as error:
    raise ImportError("flexkern.app.data needs the `data` extra: pip install 'flexkern[data]'.") from error

from .audio import read_wav_folder as read_wav_folder
from .augment import AUGMENTATIONS as AUGMENTATIONS
from .augment import build_augmentation as build_augmentation
from .augment import random_flip as random_flip
from .augment import random_noise as random_noise
from .augment import random_roll as random_roll
from .augment import random_rotate as random_rotate
from .augment import random_scale_noise as random_scale_noise
from .augment import random_shift as random_shift
from .augment import random_zoom as random_zoom
from .cifar import read_cifar as read_cifar
from .digits import read_digits as read_digits
from .idx import read_idx_folder as read_idx_folder
from .images import read_image_folder as read_image_folder
from .images import read_image_npz as read_image_npz
from .mnist1d import read_mnist1d as read_mnist1d
from .registry import list_tasks as list_tasks
from .registry import load_task as load_task
from .sequences import read_series_npz as read_series_npz
from .task import BatchTransform as BatchTransform
from .task import Split as Split
from .task import Task as Task
from .task import normalise as normalise
from .task import split_task as split_task
from .task import standardise as standardise
from .ts import read_ts as read_ts
from .views import NoisePadding as NoisePadding
from .views import flatten_pixels as flatten_pixels
from .views import noise_pad as noise_pad
from .views import permute_pixels as permute_pixels
