"""Cross-validation and a grid search over both sides' features, then an encrypted fit of the best."""

import pandas as pd
from sklearn.model_selection import GridSearchCV, cross_val_score

from vflfast import Settings, VerticalFrame, VerticalLogisticRegression, metrics
from vflfast.samples import write_bank

paths = write_bank(".", n_rows=1000)
bank, partner = (pd.read_csv(path, dtype={"phone": str}) for path in paths)
X = VerticalFrame(bank.drop(columns="bought"), partner, on="phone")
y = bank.set_index("phone").loc[X.index, "bought"]

model = VerticalLogisticRegression(
    observation_date="2026-01-01",
    kinds={"card_since": "date", "contract_since": "date"},
    settings=Settings(scheme="elgamal"),
    encrypted=False,
)
print("AUC by fold:", cross_val_score(model, X, y, cv=3, scoring="roc_auc").round(3).tolist())

search = GridSearchCV(model, {"alpha": [0.001, 0.01, 0.1]}, scoring="roc_auc", cv=3, refit=False).fit(X, y)
print("best:", search.best_params_)

best = VerticalLogisticRegression(**{**model.get_params(deep=False), **search.best_params_, "encrypted": True, "verify": True})
best.fit(X[:700], y.iloc[:700])
probability = best.predict_proba(X[700:]).iloc[:, 1]
print(f"AUC on customers that it has not seen: {metrics.roc_auc(y.iloc[700:] * 2 - 1, probability):.3f}")
