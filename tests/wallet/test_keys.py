"""Keys against the published vectors of BIP-39 and SLIP-0010."""

from __future__ import annotations

import pytest

from cbdc.errors import Malformed
from cbdc.formats.ed25519 import SigningKey
from wallet.keys import PATH_PURPOSE, KeyChain, check_words, derive, words_of

H = 0x8000_0000

BIP39 = {
    "00" * 32: "abandon " * 23 + "art",
    "7f" * 32: "legal winner thank year wave sausage worth useful " * 2
    + "legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
    "ff" * 32: "zoo " * 23 + "vote",
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c": (
        "hamster diagram private dutch cause delay private meat slide toddler razor book "
        "happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"
    ),
    "9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863": (
        "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich "
        "alcohol speed nation flash devote level hobby quick inner drive ghost inside"
    ),
    "066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad": (
        "all hour make first leader extend hole alien behind guard gospel lava "
        "path output census museum junior mass reopen famous sing advance salt reform"
    ),
    "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f": (
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush "
        "open amazing screen patrol group space point ten exist slush involve unfold"
    ),
}
"""The 24-word vectors of github.com/trezor/python-mnemonic, entropy to words."""

SEED_OF_ABANDON_ART = bytes.fromhex(
    "408b285c123836004f4b8842c89324c1f01382450c0d439af345ba7fc49acf70"
    "5489c6fc77dbd4e3dc1dd8cc6bc9f043db8ada1e243c4a0eafb290d399480840"
)
"""BIP-39's seed of the first vector without a passphrase."""

SLIP10_SEEDS = (
    "000102030405060708090a0b0c0d0e0f",
    (
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2"
        "9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542"
    ),
)
SLIP10 = [
    (0, (), "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"),
    (0, (0,), "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"),
    (0, (0, 1), "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2"),
    (0, (0, 1, 2), "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9"),
    (0, (0, 1, 2, 2), "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662"),
    (0, (0, 1, 2, 2, 1_000_000_000), "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793"),
    (1, (), "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012"),
    (1, (0,), "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635"),
    (1, (0, 2_147_483_647), "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4"),
    (1, (0, 2_147_483_647, 1), "3757c7577170179c7868353ada796c839135b3d30554bbb74a4b1e4a5a58505c"),
    (
        1,
        (0, 2_147_483_647, 1, 2_147_483_646),
        "5837736c89570de861ebc173b1086da4f505d4adb387c6a1b1342d5e4ac9ec72",
    ),
    (
        1,
        (0, 2_147_483_647, 1, 2_147_483_646, 2),
        "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
    ),
]
"""SLIP-0010, test vectors 1 and 2 for ed25519: seed number, path, private key."""

WORDS = BIP39["00" * 32]


@pytest.mark.parametrize(("entropy", "words"), BIP39.items())
def test_entropy_becomes_the_published_words(entropy: str, words: str) -> None:
    assert words_of(bytes.fromhex(entropy)) == words
    assert check_words(words) == words


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_only_32_bytes_make_24_words(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        words_of(bytes(length))


@pytest.mark.parametrize(("number", "path", "private"), SLIP10)
def test_derivation_gives_the_published_private_keys(number: int, path: tuple[int, ...], private: str) -> None:
    assert derive(bytes.fromhex(SLIP10_SEEDS[number]), path).hex() == private


def test_every_step_of_a_path_is_hardened() -> None:
    """SLIP-0010 knows no other derivation for Ed25519, so an index means its hardened form."""
    seed = bytes.fromhex(SLIP10_SEEDS[0])
    assert derive(seed, (0 | H, 1 | H)) == derive(seed, (0, 1))


def test_words_lead_to_the_keys_of_their_published_seed() -> None:
    chain = KeyChain(WORDS)
    for number in (0, 1, 7):
        expected = SigningKey(derive(SEED_OF_ABANDON_ART, (PATH_PURPOSE, 0, number)))
        assert chain.online_key(number).public == expected.public


def test_the_same_words_find_the_same_keys_and_other_words_others() -> None:
    spelled_otherwise = "\n".join(WORDS.upper().split())
    assert KeyChain(WORDS).online_key(3).public == KeyChain(spelled_otherwise).online_key(3).public
    other = KeyChain(BIP39["ff" * 32])
    keys = {chain.online_key(number).public for chain in (KeyChain(WORDS), other) for number in range(5)}
    assert len(keys) == 10


@pytest.mark.parametrize(
    "words",
    [
        "",
        "abandon",
        "abandon " * 24,
        "abandon " * 22 + "art",
        "abandon " * 24 + "art",
        "abandon " * 11 + "about",
        WORDS.replace("art", "quixotic"),
        "art " + "abandon " * 23,
    ],
    ids=["none", "one", "bad checksum", "23", "25", "12 good ones", "not in the list", "other order"],
)
def test_bad_words_are_refused_and_not_repeated(words: str) -> None:
    with pytest.raises(Malformed) as refused:
        KeyChain(words)
    shown = f"{refused.value} {refused.value.values} {refused.value.to_json()}"
    assert not {word for word in words.split() if word in shown}


def test_a_key_chain_shows_nothing_of_its_seed() -> None:
    shown = repr(KeyChain(WORDS))
    assert SEED_OF_ABANDON_ART.hex()[:8] not in shown
    assert "abandon" not in shown
