from itertools import combinations

from reactkd_auto.training.seeding import MOST_FOLDS, PRETRAINING, Moment, stage_number


def test_no_two_stages_or_sets_of_folds_share_their_random_numbers():
    sets = [s for size in (1, 2) for s in combinations(range(12), size)]
    numbers = [stage_number(stage, s) for s in sets for stage in ("teachers", "student", "localiser")]
    numbers += [stage_number(stage, ()) for stage in PRETRAINING]
    assert len(set(numbers)) == len(numbers)
    last = stage_number("localiser", (MOST_FOLDS - 2, MOST_FOLDS - 1))
    assert all(stage_number(stage, ()) > last for stage in PRETRAINING)


def test_a_moment_gives_the_same_numbers_again_and_another_one_others():
    a, b = Moment(0, 3, 1, 2), Moment(0, 3, 1, 3)
    assert a.torch_seed("network") == Moment(0, 3, 1, 2).torch_seed("network") != b.torch_seed("network")
    assert a.numpy_generator("sampling").random() != a.numpy_generator("localiser").random()
