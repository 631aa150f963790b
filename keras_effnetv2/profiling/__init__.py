"""Costs of networks: counted from their rows, measured, and as published."""

from keras_effnetv2.networks.published import PUBLISHED
from keras_effnetv2.profiling.costs import Profile, StageProfile, profile
from keras_effnetv2.profiling.profile_report import format_table
from keras_effnetv2.tables import align

__all__ = [
    "PUBLISHED",
    "Profile",
    "StageProfile",
    "align",
    "format_table",
    "profile",
]
