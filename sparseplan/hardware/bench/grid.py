"""Which cases a profile needs: widths and token counts that cover the models of interest."""

from collections.abc import Sequence

from sparseplan.hardware.bench.protocol import Case

GPU_WIDTHS = (512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
QUICK_GPU_WIDTHS = (1024, 2048, 4096, 8192)
CPU_WIDTHS = (64, 128, 256, 512)
QUICK_CPU_WIDTHS = (64, 128, 256)
_GPU_TOKENS, _QUICK_GPU_TOKENS = (4096, 16384), (16384,)
_CPU_TOKENS, _QUICK_CPU_TOKENS = (128, 512), (512,)
_FEW_TOKENS, _QUICK_FEW_TOKENS = (1, 32), (1,)


def cases(*, gpu: bool, quick: bool, widths: Sequence[int] | None = None) -> list[Case]:
    """The cases of a profile, narrow models first.

    Training, forward passes and inference on many tokens at each large token count; inference on few tokens with the
    tokens of one or a few sequences that are being written.
    """
    default = (QUICK_GPU_WIDTHS if quick else GPU_WIDTHS) if gpu else (QUICK_CPU_WIDTHS if quick else CPU_WIDTHS)
    many = (_QUICK_GPU_TOKENS if quick else _GPU_TOKENS) if gpu else (_QUICK_CPU_TOKENS if quick else _CPU_TOKENS)
    few = _QUICK_FEW_TOKENS if quick else _FEW_TOKENS
    found = []
    for width in sorted(set(widths or default)):
        for tokens in many:
            found.append(Case(part="linear", phase="forward", width=width, tokens=tokens))
            found.append(Case(part="linear", phase="training", width=width, tokens=tokens))
            found.append(Case(part="block", phase="training", width=width, tokens=tokens))
        for tokens in (*few, many[-1]):
            found.append(Case(part="linear", phase="inference", width=width, tokens=tokens))
        found.append(Case(part="block", phase="inference", width=width, tokens=many[-1]))
    return found
