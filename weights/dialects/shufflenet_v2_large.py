"""megvii's ShuffleNet V2.Large, which counts the units of a stage with letters."""

from collections.abc import Iterator

from weights.dialects.dialect import Dialect

_OURS, _THEIRS = "stage{stage}.{unit}", "features.{stage-2}.{stage}{unit~}"


def _normed(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.conv", f"{theirs}.conv"
    yield f"{ours}.bn", f"{theirs}.bn"


V2_LARGE = Dialect(
    name="megvii",
    family="shufflenet_v2_large",
    source="github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2.Large",
    framework="torch",
    conventions="megvii",
    # Classifiers that help training, and the names that layers have in a sequence too.
    aside=("predict_*", "*.se_block.*"),
    rules=(
        *_normed("stem.{index}", "first_conv.{index}"),
        *_normed(f"{_OURS}.shortcut", f"{_THEIRS}.proj"),
        *_normed(f"{_OURS}.compress", f"{_THEIRS}.branch_main.0"),
        *_normed(f"{_OURS}.group", f"{_THEIRS}.branch_main.1"),
        *_normed(f"{_OURS}.expand", f"{_THEIRS}.branch_main.2"),
        (f"{_OURS}.se.squeeze", f"{_THEIRS}.se_fc1"),
        (f"{_OURS}.se.excite", f"{_THEIRS}.se_fc2"),
        *_normed(f"{_OURS}.down", f"{_THEIRS}.down"),
        *_normed("last", "conv_last"),
        ("classifier", "fc"),
    ),
)
