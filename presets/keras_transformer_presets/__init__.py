"""Small trained models: data alone. `keras_transformer.pipelines.presets` finds and checks them."""
