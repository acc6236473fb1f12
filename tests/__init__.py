"""Tests in layers: unit, glue, simulation, emulator, integration, e2e."""
