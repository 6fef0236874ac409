"""One field of a split: its store of token indices, wherever that comes from."""

from pathlib import Path

from seqexp.data.encoding import FieldText, encode_field
from seqexp.data.indexed import TokenStore
from seqexp.data.manifest import Manifest, SplitRecord
from seqexp.runtime.errors import UserError


def find_split(directory: Path, manifest: Manifest, split: str) -> SplitRecord:
    """What the manifest says of a split.

    Raises:
        UserError: there is no such split.
    """
    if split not in manifest.splits:
        raise UserError(f"{directory}: no split {split!r}, only {', '.join(manifest.splits) or 'vocabularies'}")
    return manifest.splits[split]


def open_field(
    directory: Path, split: str, record: SplitRecord, field: str, encoding: FieldText | None, *, verify: bool = False
) -> TokenStore:
    """The store of a field, or one that is made of its text where the directory keeps only that.

    Args:
        encoding: what makes indices of the text; needed in the second case.
        verify: compare the checksums of a store with the manifest's.

    Raises:
        UserError: a file is missing or corrupt, or the text gives other indices than when it was prepared.
    """
    if record.fields[field].tokens is None:
        assert encoding is not None, "the split was loaded without the catalog"
        return _encode(encoding, record)
    return _open(directory / f"{split}.{field}", record, field, verify=verify)


def _open(prefix: Path, record: SplitRecord, field: str, *, verify: bool) -> TokenStore:
    store = TokenStore(prefix)
    if len(store) != record.num_examples:
        raise UserError(f"{prefix}: {len(store)} sequences, the manifest says {record.num_examples}")
    if verify:
        tokens, index = record.fields[field].tokens, record.fields[field].index
        assert tokens is not None
        assert index is not None
        store.verify(tokens.sha256, index.sha256)
    return store


def _encode(encoding: FieldText, record: SplitRecord) -> TokenStore:
    """The store of a field of which the data directory keeps the raw text only."""
    encoding.verify()
    store = encode_field(encoding, num_workers=None)
    found, expected = (len(store), store.num_tokens), (record.num_examples, record.fields[encoding.field].num_tokens)
    if found != expected:
        raise UserError(
            f"{encoding.text}: {found[0]} lines and {found[1]} tokens, the manifest says {expected[0]} and "
            f"{expected[1]}: prepare the data again with the libraries that are installed now"
        )
    return store
