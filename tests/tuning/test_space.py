import optuna
import pytest

from irstd.config import Params
from irstd.errors import ModelError
from irstd.tuning.space import Point, check_widths, study_settings, suggest, trial_recipe


def changed(params: Params, **update: object) -> Params:
    return params.model_copy(update={"tune": params.tune.model_copy(update=update)})


def test_points_lie_in_the_space(params: Params) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = [suggest(study.ask(), params.tune) for _ in range(40)]
    assert {point.width for point in points} == {16, 32}
    assert all(0.5 <= point.alpha <= 3.0 and 1.0 <= point.gamma <= 3.0 for point in points)
    assert len({point.alpha for point in points}) == 40


def test_recipe_changes_only_what_is_searched(params: Params) -> None:
    base = params.train.recipes["ispanet"]
    recipe = trial_recipe(base, params.tune, Point(alpha=0.7, gamma=1.3, width=32))
    expected = base.model_dump()
    expected["network"]["width"] = 32
    expected["loss"] |= {"alpha": 0.7, "gamma": 1.3}
    expected["epochs"] = params.tune.epochs
    assert recipe.model_dump() == expected
    assert base == params.train.recipes["ispanet"]


def test_a_short_trial_is_still_validated(params: Params) -> None:
    rare = params.train.recipes["ispanet"].model_copy(update={"validate_every": 50})
    assert trial_recipe(rare, params.tune, Point(1.0, 1.0, 16)).validate_every == 2


def test_settings_name_what_values_depend_on(params: Params) -> None:
    before = study_settings(params, "abc")
    assert before["recipe.optimizer.lr"] == 0.01
    assert before["space.widths"] == [16, 32]
    assert study_settings(params, "xyz") != before
    assert study_settings(changed(params, epochs=3), "abc") != before
    assert study_settings(changed(params, trials=7, attempts=99), "abc") == before


def test_settings_ignore_what_each_trial_replaces(params: Params) -> None:
    recipe = params.train.recipes["ispanet"]
    other = recipe.model_copy(
        update={
            "epochs": 77,
            "loss": recipe.loss.model_copy(update={"alpha": 9.0}),
            "network": recipe.network.model_copy(update={"width": 64}),
        }
    )
    train = params.train.model_copy(update={"recipes": {"ispanet": other}})
    assert study_settings(params.model_copy(update={"train": train}), "") == study_settings(
        params, ""
    )


def test_impossible_width_is_found_before_any_trial(params: Params) -> None:
    check_widths(params)
    with pytest.raises(ModelError, match="17"):
        check_widths(changed(params, widths=(16, 17)))
