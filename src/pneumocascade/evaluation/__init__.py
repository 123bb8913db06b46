"""What the models are worth on labelled films: figures with intervals, pictures, a report.

Needs the extra ``pneumocascade[evaluate]``; import the modules below where they are needed, since
:mod:`~pneumocascade.evaluation.charts` loads matplotlib.
"""
