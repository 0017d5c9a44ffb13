import torch

from firstlight.data.seeds import generator, key_seed


def test_seed_of_a_key_is_the_same_on_every_machine_and_for_ever():
    assert key_seed(0, 7) == 10337458680458025442


def test_different_keys_have_different_seeds_of_64_bits():
    keys = [*((a, b) for a in range(50) for b in range(50)), *((a,) for a in range(50)), (1, 2, 3)]
    seeds = [key_seed(*key) for key in keys]
    assert len(set(seeds)) == len(seeds)
    assert 2**63 < max(seeds) < 2**64


def test_generator_depends_on_its_key_alone():
    first = torch.rand(5, generator=generator(0, 1))
    torch.rand(100)
    torch.testing.assert_close(torch.rand(5, generator=generator(0, 1)), first, atol=0, rtol=0)
    assert not torch.equal(torch.rand(5, generator=generator(0, 2)), first)


def test_generator_leaves_the_global_random_numbers_alone():
    before = torch.get_rng_state()
    torch.rand(5, generator=generator(0, 1))
    assert torch.equal(torch.get_rng_state(), before)
