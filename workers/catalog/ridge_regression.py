"""Least squares with an intercept and a penalty on the squares of the coefficients."""

from typing import Any, ClassVar

from workers.catalog.base import Float, Parameter, Params
from workers.catalog.linear_regression import LinearRegression


class RidgeRegression(LinearRegression):
    """Coefficients b (d,) and an intercept c that minimise ‖y − Xb − c‖² + alpha‖b‖²; c is not penalised.

    The certificate is that of linear regression with H + alpha I in the place of H.
    """

    name: ClassVar[str] = "ridge_regression"
    result_name: ClassVar[str] = "ridge_regression"
    title: ClassVar[str] = "Ridge regression"
    help: ClassVar[str] = "Linear regression that keeps the coefficients small, for columns that say nearly the same."
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("alpha", float, 1.0, "How strongly coefficients are kept small.", minimum=0.0, maximum=1e12),
    )

    def alpha(self, params: Params) -> float:
        return float(params["alpha"])

    def errors(self, X: Float, y: Float, params: Params, mse: float) -> dict[str, Any]:
        """None: a penalised estimate is biased, and the textbook's standard errors do not hold for it."""
        return {"alpha": self.alpha(params)}


MODEL = RidgeRegression()
