"""Which class is taken for which."""

from typing import TypeAlias

from segdistill.reports.findings.row import Row

Matrix: TypeAlias = list[list[int]]


def confusion(row: Row) -> tuple[list[str], Matrix] | None:
    """Class names, and pixels by true class (outer list) and predicted class, summed over the seeds."""
    known = [(run.result.labels, run.confusion) for run in row.runs if run.confusion and run.result.labels]
    if not known:
        return None
    names = known[0][0].names
    fitting = [matrix for _, matrix in known if len(matrix) == len(names)]
    if not fitting:
        return None
    return names, [[sum(counts) for counts in zip(*lines, strict=True)] for lines in zip(*fitting, strict=True)]


def confusions(row: Row) -> list[tuple[str, str, float, float]]:
    """Mistakes, the largest first: true class, predicted class, share of the true class's pixels, of all mistakes.

    Classes of less than one pixel in ten thousand are left out: their shares are chance.
    """
    found = confusion(row)
    if found is None:
        return []
    names, matrix = found
    totals = [sum(line) for line in matrix]
    wrong = sum(totals) - sum(matrix[i][i] for i in range(len(matrix)))
    mistakes = [
        (names[i], names[j], matrix[i][j] / totals[i], matrix[i][j] / wrong)
        for i in range(len(matrix))
        for j in range(len(matrix))
        if i != j and matrix[i][j] and totals[i] >= sum(totals) / 10_000
    ]
    return sorted(mistakes, key=lambda mistake: -mistake[2])
