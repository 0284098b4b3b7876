"""The table and the plot."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402


def time_of(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"
    return ""


def table(results):
    """One row for each side of each case."""
    lines = ["| case | beside | npyfs | the other | ratio | 80 % of rounds | goal |", "|---|---|---|---|---|---|---|"]
    for result in results:
        ours, *others = result.times
        for place, side in enumerate(others):
            ratio, low, high = result.ratios(side)
            lines.append(
                f"| {result.case if place == 0 else ''} | {side} | {time_of(result.median(ours))} "
                f"| {time_of(result.median(side))} | **{ratio:.2f}** | {low:.2f} to {high:.2f} "
                f"| {result.goal if place == 0 else ''} |"
            )
    return "\n".join(lines)


def plot(results, path):
    """Each case a row, each side a dot at its ratio, with the spread; to the right npyfs is faster."""
    figure, axes = plt.subplots(figsize=(11, 0.42 * len(results) + 1.5), layout="constrained")
    names = list(dict.fromkeys(side for result in results for side in list(result.times)[1:]))
    colour_at = plt.get_cmap("nipy_spectral")
    colours = {name: colour_at((place + 0.5) / len(names)) for place, name in enumerate(names)}
    for row, result in enumerate(reversed(results)):
        for side in list(result.times)[1:]:
            ratio, low, high = result.ratios(side)
            axes.plot([low, high], [row, row], color=colours[side], alpha=0.4, linewidth=3)
            axes.plot(ratio, row, "o", color=colours[side])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(results)), [result.case for result in reversed(results)])
    axes.set_xlabel("time of the other / time of npyfs (to the right of 1, npyfs is faster)")
    axes.grid(axis="x", alpha=0.3)
    marks = [plt.Line2D([], [], color=colours[name], marker="o", linestyle="") for name in names]
    figure.legend(marks, names, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
