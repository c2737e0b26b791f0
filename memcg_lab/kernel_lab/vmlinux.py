"""The kernel's ELF file, out of the compressed image that a distribution ships."""

import lzma
import shutil
import struct
import subprocess
import zlib

_XZ, _GZIP, _ZSTD, _LZ4 = b"\xfd7zXZ\0", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18"


def unpack(image, name="vmlinuz"):
    """Unpack a bootable x86 image.

    The boot protocol says where the payload lies: ``payload_offset`` and ``payload_length`` of the setup header.

    Parameters
    ----------
    image : bytes
        A bzImage, such as ``/boot/vmlinuz-6.1.0``.
    name : str, optional
        What to call it in an error.

    Returns
    -------
    bytes
        An ELF file.

    Raises
    ------
    ValueError
        If it is no bzImage, its compression is not known here, or the program for it is not installed.
    """
    if image[0x202:0x206] != b"HdrS":
        raise ValueError(f"{name} is not a bootable x86 kernel image.")
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = ((image[0x1F1] or 4) + 1) * 512 + offset
    payload = image[start : start + length]
    try:
        if payload.startswith(_XZ):
            elf = lzma.LZMADecompressor().decompress(payload)
        elif payload.startswith(_GZIP):
            elf = zlib.decompressobj(31).decompress(payload)
        elif payload.startswith(_ZSTD):
            elf = _filtered("zstd", payload, name)
        elif payload.startswith(_LZ4):
            elf = _filtered("lz4", payload, name)
        else:
            raise ValueError(f"{name} is packed in a way not known here (it begins with {payload[:6].hex(' ')}).")
    except (lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{name} cannot be unpacked: {error}.") from None
    if not elf.startswith(b"\x7fELF"):
        raise ValueError(f"{name} does not hold an ELF file.")
    # The build appends the unpacked size; gzip does so by itself.
    if struct.unpack("<I", payload[-4:])[0] != len(elf):
        raise ValueError(f"{name} is cut off, or does not say its size.")
    return elf


def _filtered(program, payload, name):
    if not shutil.which(program):
        raise ValueError(f"{name} is packed with {program}, which is not installed.")
    # The last four bytes are the size, which these programs do not know.
    done = subprocess.run([program, "-dc"], input=payload[:-4], capture_output=True, timeout=120, check=False)
    return done.stdout


def text_address(elf):
    """Address of the first loadable segment, where ``_text`` lies unless the kernel was moved.

    Examples
    --------
    >>> text_address(b"not an ELF file")
    Traceback (most recent call last):
    ValueError: the unpacked kernel is not a 64-bit ELF file.
    """
    if len(elf) < 64 or elf[:5] != b"\x7fELF\x02":
        raise ValueError("the unpacked kernel is not a 64-bit ELF file.")
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        kind, _, _, address = struct.unpack_from("<IIQQ", elf, table + number * size)
        if kind == 1:
            return address
    raise ValueError("the unpacked kernel has no loadable segment.")
