"""Builds the wheel of the trained models. They are no part of the library's, which stays small."""

from setuptools import setup

setup(
    name="keras-transformer-zoo-presets",
    version="0.1.0",
    description="Small trained models for keras_transformer",
    license="Apache-2.0",
    packages=["keras_transformer_presets"],
    package_data={"keras_transformer_presets": ["index.json", "*/**"]},
)
