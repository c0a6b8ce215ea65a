"""Real models, counted from their Hugging Face config without torch: one reader a group of architectures.

`architecture` is what counting needs, stacks of equal blocks and what lies around them; `memory` counts bytes.
`decoders`, `gpts`, `encoders` and `t5` read configs, `registry` knows the reader of every `model_type`, `file` finds
models by name or by the path of a config, `facts` is all that is said of a model at a context.
"""
