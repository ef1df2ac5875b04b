"""Hold a model's predictions against the recording, its noise ceiling and the baselines."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.errors import RecordingError
from retmech.labels import quantile_coordinate, variable
from retmech.models.network import Network
from retmech.models.predict import predict
from retmech.models.store import load_network, network_settings
from retmech.quality import pearson, pearson_interval


def evaluate(recording: xr.DataTree, models: Mapping[str, xr.DataTree]) -> xr.DataTree:
    """Return the performance of models on the test movies of every stimulus class, those they were not trained on included.

    Parameters
    ----------
    models
        Name -> model; the first is the one of interest, the others stand beside it.

    Notes
    -----
    All models are compared at the frames for which the longest history is complete. The fraction of explainable variance is
    1 - (mse - noise) / (variance - noise), with the noise of the trial average, (1 - reliability) * variance. Confidence
    intervals are bootstrapped over blocks of a second.
    """
    networks = {name: load_network(model) for name, model in models.items()}
    history = max(network.history for network in networks.values())
    tree = {
        "/": xr.Dataset(
            coords={
                "cell": recording.dataset["cell"].variable,
                "model": variable("model", list(models), "1", "model"),
            }
        )
    }
    for name, branch in recording.children.items():
        test = branch.children["test"].to_dataset()
        if test.sizes["time"] <= history:
            raise RecordingError(
                f"{name}: the test movie has {test.sizes['time']} frames, but a first response needs {history} frames of "
                "history and a correlation at least two responses. Reduce train.*.history or leave this class out."
            )
        predicted = np.stack(
            [_predicted(networks[model], tree_, test["stimulus"].values, history) for model, tree_ in models.items()]
        )
        trained_on = [name in network_settings(model).stimulus for model in models.values()]
        frame_rate = float(recording.dataset["frame_rate"])
        tree[f"/{name}"] = _performance(test.isel(time=slice(history - 1, None)), predicted, trained_on, round(frame_rate))
    return xr.DataTree.from_dict(tree)


def _predicted(network: Network, model: xr.DataTree, movie: NDArray[np.generic], history: int) -> NDArray[np.float32]:
    contrast = (movie.astype(np.float32) - float(model.dataset["stimulus_mean"])) / float(model.dataset["stimulus_std"])
    return predict(network, contrast.astype(np.float32))[history - network.history :].T


def _performance(test: xr.Dataset, predicted: NDArray[np.float32], trained_on: list[bool], block: int) -> xr.Dataset:
    recorded = test["rate"].values
    variance = recorded.var(axis=1, dtype=np.float64)
    noise = (1 - test["reliability"].values) * variance
    mse = ((predicted - recorded[None]).astype(np.float64) ** 2).mean(axis=2)
    signal = variance - noise
    explained = 1 - np.divide(mse - noise, signal, out=np.full(mse.shape, np.nan), where=signal > 0)
    by_model = ("model", "cell")
    return xr.Dataset(
        {
            "pearson_r": variable(by_model, pearson(predicted, recorded[None]), "1", "correlation with the trial average"),
            "pearson_r_interval": variable(
                ("quantile", *by_model),
                pearson_interval(predicted, recorded[None], block),
                "1",
                "95 % confidence interval of pearson_r",
            ),
            "explained_variance": variable(by_model, explained, "1", "fraction of explainable variance"),
            "trained_on": variable("model", np.array(trained_on), "1", "whether the model was trained on this stimulus class"),
            "noise_ceiling": test["noise_ceiling"].variable,
            "noise_ceiling_interval": test["noise_ceiling_interval"].variable,
            "recorded_rate": variable(("cell", "time"), recorded, "Hz", "recorded rate, trial average"),
            "predicted_rate": variable((*by_model, "time"), predicted, "Hz", "predicted rate"),
        },
        coords={"time": test["time"].variable, "quantile": quantile_coordinate()},
    )
