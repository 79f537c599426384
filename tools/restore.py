#!/usr/bin/env python3
"""Restores snapshots of a Sluicegate vault to raw disk images, with the bucket and the key alone.

It shares nothing with the gateway but docs/vault-format.md: it is the proof that what is in the bucket can be read
without it, today and in twenty years. It needs the Python packages cryptography and zstandard (on Debian
python3-cryptography and python3-zstandard), and boto3 to read a bucket directly; a copy of one in a folder will do.

    restore.py --vault DIR --key-file vault.key list
    restore.py --vault DIR --key-file vault.key restore snap-0123456789abcdef0 disk.raw
    restore.py --vault s3://bucket/prefix --s3-endpoint URL --key-file vault.key list
    restore.py --vault DIR --key-file vault.key restore volumes/vol-…/roots/0000000001-0000000007 disk.raw

It reads only. The image is sparse: blocks of zeros are left out of it.
"""
import argparse
import base64
import getpass
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import unicodedata

try:
    import zstandard
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError as missing:
    sys.exit(f"{missing}: on Debian, apt install python3-cryptography python3-zstandard")

NAME_BYTES = 20
FAN_OUT = 256
PIECES = 16
BLOCK, PAGE, DELTA = 1, 2, 3
NONE, ZSTD = 0, 1
DIRECTORY_NUMBER = 0xFFFFFFFF
ENTRY = struct.Struct("<20sBBHIIII")
NEAR_BYTES = 1024 * 1024


class Damage(Exception):
    """Something in the vault is not what it should be."""


# Where the objects are


class Folder:
    def __init__(self, path):
        self.path = path

    def get(self, key, offset=0, length=None):
        try:
            with open(os.path.join(self.path, key), "rb") as file:
                file.seek(offset)
                return file.read() if length is None else file.read(length)
        except FileNotFoundError:
            raise Damage(f"{key} is missing") from None

    def list(self, prefix):
        top = os.path.join(self.path, prefix)
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                yield os.path.relpath(path, self.path).replace(os.sep, "/"), os.path.getsize(path)


class Bucket:
    def __init__(self, url, endpoint):
        try:
            import boto3
        except ImportError:
            sys.exit("reading a bucket needs boto3: on Debian, apt install python3-boto3")
        self.bucket, _, prefix = url[len("s3://"):].partition("/")
        self.prefix = prefix.rstrip("/") + "/" if prefix else ""
        self.s3 = boto3.client("s3", endpoint_url=endpoint)

    def get(self, key, offset=0, length=None):
        wanted = {} if length is None else {"Range": f"bytes={offset}-{offset + length - 1}"}
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=self.prefix + key, **wanted)
        except self.s3.exceptions.NoSuchKey:
            raise Damage(f"{key} is missing") from None
        return answer["Body"].read()

    def list(self, prefix):
        pages = self.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
            for found in page.get("Contents", []):
                yield found["Key"][len(self.prefix):], found["Size"]


# Keys and sealed things


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info.encode()).derive(key)


def unseal(key, nonce, associated, sealed, what):
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except InvalidTag:
        raise Damage(f"{what} fails its tag") from None


def number_nonce(number):
    return struct.pack("<I", number) + bytes(8)


def open_slot(slot, vault_id, key_file, passphrase):
    """The master key out of one key slot, or None."""
    salt = base64.b64decode(slot.get("salt", ""))
    if slot["type"] == "key-file" and key_file is not None:
        wrapping = hkdf(key_file, salt, "sluicegate key file v1")
    elif slot["type"] == "passphrase" and passphrase is not None:
        cost = {"n": slot["n"], "r": slot["r"], "p": slot["p"]}
        plain = unicodedata.normalize("NFC", passphrase).encode()
        wrapping = hashlib.scrypt(plain, salt=salt, dklen=32, maxmem=2**30, **cost)
    else:
        return None
    try:
        return AESGCM(wrapping).decrypt(bytes(12), base64.b64decode(slot["wrappedKey"]), vault_id)
    except InvalidTag:
        return None


class Vault:
    def __init__(self, store, key_file, passphrase):
        self.store = store
        head = json.loads(store.get("vault.json"))
        if head.get("format") != "sluicegate-vault" or head.get("formatVersion") != 1:
            raise Damage(f"vault format {head.get('formatVersion')} is not known to this reader")
        self.id = bytes.fromhex(head["vaultId"])
        masters = (open_slot(slot, self.id, key_file, passphrase) for slot in head["keySlots"])
        master = next((key for key in masters if key is not None), None)
        if master is None:
            sys.exit("the key does not open this vault")
        self.name_keys = {
            kind: hkdf(master, b"", f"sluicegate name {word} v1")
            for kind, word in ((BLOCK, "block"), (PAGE, "page"), (DELTA, "delta"))
        }
        self.packs_key = hkdf(master, b"", "sluicegate pack v1")
        self.objects_key = hkdf(master, b"", "sluicegate object v1")
        self.index = {}
        self.pack_keys = {}
        self.pages = {}
        self.near = (None, 0, b"")

    # Objects

    def object(self, key):
        sealed = self.store.get(key)
        if sealed[:8] != b"SLGOBJ01":
            raise Damage(f"{key} is not a sealed object")
        one = hkdf(self.objects_key, sealed[8:24], "sluicegate one object v1")
        return unseal(one, bytes(12), self.id + key.encode(), sealed[24:], key)

    def json(self, key, formats=(1,)):
        value = json.loads(self.object(key))
        if value.get("format") not in formats:
            raise Damage(f"{key}: format {value.get('format')} is not known to this reader")
        return value

    def snapshots(self):
        for key, _ in sorted(self.store.list("snapshots/")):
            yield self.json(key)

    # Packs and what is in them

    def pack_key(self, pack):
        if pack not in self.pack_keys:
            self.pack_keys[pack] = hkdf(self.packs_key, pack, "sluicegate one pack v1")
        return self.pack_keys[pack]

    def load_index(self):
        packs = {}
        for key, size in self.store.list("packs/"):
            match = re.fullmatch(r"packs/[0-9a-f]{2}/([0-9a-f]{32})", key)
            if match:
                packs[bytes.fromhex(match[1])] = (key, size)
        known = set()
        for key, _ in self.store.list("index/"):
            try:
                plain = self.object(key)
            except Damage as damage:
                print(f"passed over: {damage}", file=sys.stderr)
                continue
            form, count = struct.unpack_from("<II", plain)
            if form != 1:
                raise Damage(f"{key}: index format {form} is not known to this reader")
            at = 8
            for _ in range(count):
                pack, entries = struct.unpack_from("<16sI", plain, at)
                # One that was collected may still be named.
                if pack in packs:
                    known.add(pack)
                    self.add_entries(pack, plain[at + 20:at + 20 + entries * ENTRY.size])
                at += 20 + entries * ENTRY.size
        for pack, (key, size) in packs.items():
            if pack not in known:
                self.add_directory(pack, key, size)

    def add_entries(self, pack, plain):
        for name, kind, compression, _, offset, stored, length, number in ENTRY.iter_unpack(plain):
            self.index.setdefault(name, (pack, kind, compression, offset, stored, length, number))

    def add_directory(self, pack, key, size):
        try:
            footer = self.store.get(key, size - 32, 32)
            if footer[24:] != b"SLGPEND1":
                raise Damage(f"{key} has no footer")
            offset, length, _ = struct.unpack_from("<III", footer)
            associated = self.id + pack + b"directory"
            sealed = self.store.get(key, offset, length)
            nonce = number_nonce(DIRECTORY_NUMBER)
            self.add_entries(pack, unseal(self.pack_key(pack), nonce, associated, sealed, key))
        except Damage as damage:
            print(f"passed over: {damage}", file=sys.stderr)

    def bytes_of(self, pack, offset, length):
        """Neighbours are most often wanted one after the other: they come with one request."""
        near_pack, start, held = self.near
        if near_pack != pack or offset < start or offset + length > start + len(held):
            key = f"packs/{pack.hex()[:2]}/{pack.hex()}"
            self.near = (pack, offset, self.store.get(key, offset, max(length, NEAR_BYTES)))
            _, start, held = self.near
        return held[offset - start:offset - start + length]

    def record(self, name, kind):
        if name not in self.index:
            raise Damage(f"record {name.hex()} is nowhere")
        pack, there, compression, offset, stored, length, number = self.index[name]
        if there != kind:
            raise Damage(f"record {name.hex()} is of kind {there}, not {kind}")
        what = f"record {number} of pack {pack.hex()}"
        associated = self.id + pack + struct.pack("<IBBI", number, kind, compression, length) + name
        sealed = self.bytes_of(pack, offset, stored)
        plain = unseal(self.pack_key(pack), number_nonce(number), associated, sealed, what)
        if compression == ZSTD:
            plain = zstandard.ZstdDecompressor().decompress(plain, max_output_size=length)
        elif compression != NONE:
            raise Damage(f"{what}: compression {compression} is not known to this reader")
        if len(plain) != length or self.name_of(kind, plain) != name:
            raise Damage(f"{what} is not what it is named")
        return plain

    def name_of(self, kind, plain):
        return hmac.new(self.name_keys[kind], plain, hashlib.sha256).digest()[:NAME_BYTES]

    # Maps

    def page(self, name, level):
        if name not in self.pages:
            if len(self.pages) >= 1024:
                self.pages.clear()
            plain = self.record(name, PAGE)
            form, there, count = struct.unpack_from("<BBH", plain)
            if form != 1 or there != level or count != FAN_OUT:
                raise Damage(f"page {name.hex()} has format {form}, level {there}")
            entries = []
            at = 4
            for _ in range(count):
                entry, at = read_entry(plain, at)
                entries.append(entry)
            self.pages[name] = entries
        return self.pages[name]

    def entries_below(self, name, level, first):
        """(block, entry) of everything below a page that is not zeros."""
        for i, entry in enumerate(self.page(name, level)):
            if entry is None:
                continue
            start = first + i * FAN_OUT**level
            if level == 0:
                yield start, entry
            else:
                yield from self.entries_below(entry[0], level - 1, start)

    def root(self, key):
        root = self.json(key, (1, 2))
        if root["format"] == 2 and root.get("kind") != "step":
            raise Damage(f"{key}: a root of kind {root.get('kind')} is not known to this reader")
        return root

    def blocks(self, key):
        """(block, entry) of all that is not zeros in the root."""
        root = self.root(key)
        steps = []
        checkpoint = root
        if root.get("kind") == "step":
            checkpoint = self.root(root["checkpointKey"])
            steps = [self.root(each) for each in root["chainKeys"]] + [root]
        changed = {}
        for step in steps:
            plain = base64.b64decode(step["entries"])
            at = 0
            while at < len(plain):
                (block,) = struct.unpack_from("<I", plain, at)
                changed[block], at = read_entry(plain, at + 4)
        if checkpoint["top"] is not None:
            for block, entry in self.entries_below(bytes.fromhex(checkpoint["top"]), checkpoint["levels"] - 1, 0):
                if block not in changed:
                    yield block, entry
        for block in sorted(changed):
            if changed[block] is not None:
                yield block, changed[block]

    def content(self, entry, block_bytes):
        name, base, deltas = entry
        content = bytearray(self.record(base, BLOCK))
        if len(content) != block_bytes:
            raise Damage(f"block {base.hex()} has {len(content)} bytes")
        piece_bytes = block_bytes // PIECES
        for each in deltas:
            delta = self.record(each, DELTA)
            (mask,) = struct.unpack_from("<H", delta)
            at = 2
            for piece in range(PIECES):
                if mask & (1 << piece):
                    content[piece * piece_bytes:(piece + 1) * piece_bytes] = delta[at:at + piece_bytes]
                    at += piece_bytes
        if deltas and self.name_of(BLOCK, bytes(content)) != name:
            raise Damage(f"a chunk and its deltas don't make block {name.hex()}")
        return content


def read_entry(plain, at):
    """(name, base, deltas) or None for zeros; and where the next entry begins."""
    kind = plain[at]
    if kind == 0:
        return None, at + 1
    if kind == 1:
        name = plain[at + 1:at + 1 + NAME_BYTES]
        return (name, name, []), at + 1 + NAME_BYTES
    if kind != 2:
        raise Damage(f"entry kind {kind} is not known to this reader")
    start = at + 2
    names = [plain[start + i * NAME_BYTES:start + (i + 1) * NAME_BYTES] for i in range(2 + plain[at + 1])]
    return (names[0], names[1], names[2:]), start + len(names) * NAME_BYTES


# Commands


def list_snapshots(vault):
    for snapshot in sorted(vault.snapshots(), key=lambda each: each["startedAtMs"]):
        size = snapshot["volumeSizeBytes"] // 2**30
        print(f"{snapshot['snapshotId']}  {snapshot['volumeId']}  {size:6} GiB  {snapshot['description']}")
    for key, _ in sorted(vault.store.list("volumes/")):
        print(key)


def restore(vault, what, path, holes_allowed):
    key = what if what.startswith("volumes/") else vault.json(f"snapshots/{what}")["rootKey"]
    root = vault.root(key)
    block_bytes = root["blockBytes"]
    vault.load_index()
    done = 0
    holes = []
    with open(path, "xb") as image:
        image.truncate(root["sizeBytes"])
        for block, entry in vault.blocks(key):
            try:
                content = vault.content(entry, block_bytes)
            except Damage as damage:
                if not holes_allowed:
                    raise
                holes.append(block)
                print(f"block {block} at byte {block * block_bytes}: {damage}", file=sys.stderr)
                continue
            image.seek(block * block_bytes)
            image.write(content)
            done += 1
            if done % 1024 == 0 and sys.stderr.isatty():
                print(f"\r{done} of {root['nonZeroBlocks']} blocks", end="", file=sys.stderr)
        image.flush()
        os.fsync(image.fileno())
    print(f"{done} blocks of {block_bytes} bytes restored to {path}, {len(holes)} could not be had")
    return 1 if holes else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vault", required=True, help="a folder, or s3://bucket/prefix")
    parser.add_argument("--s3-endpoint", help="an S3 server other than AWS's")
    parser.add_argument("--key-file", help="the vault's key file")
    parser.add_argument("--passphrase", action="store_true", help="ask for the vault's passphrase")
    parser.add_argument("--passphrase-file", help="the passphrase is the first line of this file")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list snapshots and roots")
    restoring = commands.add_parser("restore", help="restore to a new file")
    restoring.add_argument("what", help="a snapshot's id, or a root's key")
    restoring.add_argument("image", help="the file; it must not be there")
    restoring.add_argument("--holes", action="store_true", help="go on where a block is damaged, and name it")
    args = parser.parse_args()
    store = Bucket(args.vault, args.s3_endpoint) if args.vault.startswith("s3://") else Folder(args.vault)
    key_file = None
    if args.key_file:
        with open(args.key_file, "rb") as file:
            key_file = file.read()
    passphrase = getpass.getpass("Passphrase of the vault: ") if args.passphrase else None
    if args.passphrase_file:
        with open(args.passphrase_file, encoding="utf-8") as file:
            passphrase = file.readline().rstrip("\r\n")
    try:
        vault = Vault(store, key_file, passphrase)
        if args.command == "list":
            list_snapshots(vault)
            return 0
        return restore(vault, args.what, args.image, args.holes)
    except Damage as damage:
        sys.exit(f"damaged: {damage}")


if __name__ == "__main__":
    sys.exit(main())
