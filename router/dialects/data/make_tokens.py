"""Makes what `openai/tokens` counts with, from OpenAI's published vocabulary (MIT licence):

    python3 make_tokens.py o200k_base.tiktoken

`o200k.bin`: every token in the order of its rank, each as a byte of length and its bytes.
`classes.bin`: the class of every Unicode character, in two stages: 0x1100 numbers of blocks (one byte each),
then the blocks, 256 bytes each. Classes: 0 other, 1 Lu or Lt, 2 Ll, 3 Lm or Lo, 4 M, 5 N, 6 white space,
7 line feed or carriage return.
"""

import base64
import sys
import unicodedata

SPACE = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def char_class(code):
    if code in (10, 13):
        return 7
    if code in SPACE:
        return 6
    category = unicodedata.category(chr(code))
    named = {"Lu": 1, "Lt": 1, "Ll": 2, "Lm": 3, "Lo": 3}
    return named.get(category, {"M": 4, "N": 5}.get(category[0], 0))


def tokens(path):
    with open(path, encoding="ascii") as lines:
        ranked = [line.split() for line in lines if line.strip()]
    assert [int(rank) for _, rank in ranked] == list(range(len(ranked))), "ranks have gaps"
    return [base64.b64decode(token) for token, _ in ranked]


def classes():
    blocks, order = [], bytearray()
    for start in range(0, 0x110000, 256):
        block = bytes(char_class(code) for code in range(start, start + 256))
        if block not in blocks:
            blocks.append(block)
        order.append(blocks.index(block))
    return bytes(order) + b"".join(blocks)


if __name__ == "__main__":
    with open("o200k.bin", "wb") as out:
        for token in tokens(sys.argv[1]):
            out.write(bytes([len(token)]) + token)
    with open("classes.bin", "wb") as out:
        out.write(classes())
