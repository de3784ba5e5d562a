"""Programs that ship a model: python -m serving.export"""
