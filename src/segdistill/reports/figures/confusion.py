"""Figures of confusions: which class is taken for which."""

from segdistill.reports.figures.charts import Figure, figure, heat_map, numbers, text
from segdistill.reports.figures.classes import MOST_CLASSES
from segdistill.reports.findings.confusions import confusion, confusions
from segdistill.reports.findings.row import Row

_SHARES = [[0, "rgba(0,114,178,0)"], [1, "rgba(0,114,178,.8)"]]


def confusion_figure(row: Row) -> Figure | None:
    """The confusion matrix as a heat map; each line sums to 100 % of the pixels of one true class.

    Of more than forty classes, those that take part in most of the mistakes.
    """
    found = confusion(row)
    if found is None:
        return None
    names, matrix = found
    totals = [sum(line) for line in matrix]
    kept = [index for index, total in enumerate(totals) if total or any(line[index] for line in matrix)]
    if len(kept) > MOST_CLASSES:
        wrong = [_rate(totals[i] - matrix[i][i], totals[i]) for i in range(len(names))]
        for i in kept:
            for j in kept:
                if i != j:
                    wrong[j] += _rate(matrix[i][j], totals[i])
        kept = sorted(sorted(kept, key=lambda index: -wrong[index])[:MOST_CLASSES])
    labels = [text(names[index]) for index in kept]
    shares = [numbers(100 * _rate(matrix[i][j], totals[i]) if totals[i] else None for j in kept) for i in kept]
    drawn = heat_map(
        labels,
        labels[::-1],
        shares[::-1],
        "%{z:.0f}" if len(kept) <= 24 else None,
        "%{z:.1f} % of the pixels of %{y} are taken for %{x}<extra></extra>",
        {"colorscale": _SHARES, "zmin": 0, "zmax": 100},
        height=110 + 26 * len(kept),
    )
    drawn["layout"]["xaxis"]["title"] = {"text": "predicted"}
    drawn["layout"]["yaxis"]["title"] = {"text": "truth", "standoff": 10}
    return drawn


def mistakes_figure(row: Row, most: int = 15) -> Figure | None:
    """Bars of the largest confusions."""
    shown = confusions(row)[:most][::-1]
    if not shown:
        return None
    drawn = figure("% of the true class", None, height=90 + 26 * len(shown))
    labels = [f"{text(truth)} → {text(predicted)}" for truth, predicted, _, _ in shown]
    drawn["data"].append(
        {
            "type": "bar",
            "orientation": "h",
            "x": numbers(100 * share for _, _, share, _ in shown),
            "y": labels,
            "customdata": numbers(100 * part for *_, part in shown),
            "marker": {"color": "#D55E00"},
            "hovertemplate": "%{y}: %{x:.1f} % of its pixels, %{customdata:.1f} % of all mistakes<extra></extra>",
        }
    )
    drawn["layout"]["yaxis"]["type"] = "category"
    return drawn


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
