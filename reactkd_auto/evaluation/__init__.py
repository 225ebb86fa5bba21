"""Predictions and labels to tables, pictures and a page: the one room where results are judged.

`run.evaluate` does all of it; `metrics.evaluate_predictions` judges a table in memory;
`paired.paired_auc_difference` compares two models on the same patients.
"""
