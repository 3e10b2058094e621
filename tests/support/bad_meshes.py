"""3D files of all formats that must be rejected: name → bytes, and words of the error message."""

from __future__ import annotations

import gzip
import json
import struct
from dataclasses import dataclass

import numpy as np

from tests.support.bad_gltf import bad_glbs
from tests.support.mesh_bytes import (
    TEN_MILLION,
    TRIANGLE,
    USDA,
    binary,
    encoded_image,
    fbx,
    fbx_file,
    fbx_nested,
    gltf,
    gltf_with_uri,
    gltf_zip,
    marked_encrypted,
    ply,
    png_header,
    stl,
    symlink,
    usdz,
    zip_declaring_too_much,
    zip_with_shared_bytes,
    zipped,
)


@dataclass(frozen=True)
class Case:
    """One file that must be refused, with all of ``words`` in the message."""

    data: bytes
    filename: str
    words: tuple[str, ...]


OUTSIDE_URIS = (
    "../secret.bin", "a/../../secret.bin", "file:///etc/passwd", "FILE:/etc/passwd", "http://example.com/a.bin",
    "https://example.com/a.bin", "//example.com/a.bin", "/etc/passwd", "C:/a.bin", "..\\secret.bin",
    "\\\\host\\a.bin", "%2e%2e/secret.bin", "%2E%2E%2Fsecret.bin", "%252e%252e%252fsecret.bin",
    "%25252e%25252e/secret.bin", "file%3a///etc/passwd", "file%253A%252F%252F/etc/passwd", "http%3A%2F%2Fexample.com",
    "%68ttps:%2f%2fexample.com/a", "%2fetc%2fpasswd", "%2F%2Fexample.com/a.bin", "%252Fetc/passwd", "..%5csecret.bin",
    "%255c%255chost", "a.bin\0.png", "a%00.bin", "a%2500.bin", "a%0d%0a.bin", "", "a" * 2000, "%" + "25" * 20 + "2e",
    "javascript:alert(1)", "ftp://example.com/a", "jar:file:///a.zip!/b", "missing.bin",
)  # fmt: skip
URIS = dict.fromkeys(OUTSIDE_URIS, "is not in the archive") | {
    "data:text/html;base64,AAAA": "text/html", "data:application/octet-stream,AAAA": "(4) is less than",
    "data:application/octet-stream;base64,AA*A": "Invalid base64",
    "data:application/octet-stream;base64": "Invalid URI",
    "data:application/octet-stream;base64,AAAA": "(3) is less than",
}  # fmt: skip


def _archives() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    whole = gltf_zip()
    cases = {
        f"uri {number}: {uri[:24]!r}": (zipped(("model.gltf", gltf_with_uri(uri)), ("data.bin", binary())), (word,))
        for number, (uri, word) in enumerate(URIS.items())
    }
    names = {
        "../evil.txt": "..",
        "/etc/evil.txt": "absolute",
        "a\\evil.txt": "backslash",
        "C:/evil.txt": "drive",
        "a/../../evil.txt": "..",
        "a//evil.txt": "empty part",
        "./evil.txt": "a dot",
        "x" * 600 + ".txt": "512",
        "é" * 128 + "/a.txt": "255",
        "a\nb.txt": "control",
    }
    cases |= {f"entry {name[:20]!r}": (gltf_zip((name, b"x")), ("entry", word)) for name, word in names.items()}
    bomb = b"\0" * (60 << 20)
    cases |= {
        "zip cut in half": (whole[: len(whole) // 2], ("cut short",)),
        "zip with something after it": (whole + b"x", ("damaged",)),
        "zip with something before its directory": (
            whole[: whole.index(b"PK\x01\x02")] + b"1234" + whole[whole.index(b"PK\x01\x02") :],
            ("damaged",),
        ),
        "zip without entries": (zipped(), ("must hold one model", "none")),
        "zip bomb of one entry": (gltf_zip(("zeros.bin", bomb)), ("unpacks", "200 times")),
        "zip bomb by the sum": (zip_declaring_too_much(), ("unpacks to", "524288000")),
        "zip bomb that lies about its size": (
            zipped(("model.gltf", gltf_with_uri()), ("data.bin", bomb)).replace(
                struct.pack("<I", len(bomb)), struct.pack("<I", 44)
            ),
            ("data.bin", "damaged"),
        ),
        "zip of 2001 entries": (gltf_zip(*((f"{number}.txt", b"") for number in range(1999))), ("2001", "2000")),
        "zip in a zip": (gltf_zip(("inner.zip", zipped())), ("archive itself",)),
        "zip in a zip as a buffer": (
            zipped(("model.gltf", gltf_with_uri()), ("data.bin", zipped(("a", b"x")))),
            ("archive itself",),
        ),
        "symlink": (gltf_zip((symlink("link.bin"), b"/etc/passwd")), ("symlink",)),
        "two entries of one name": (
            gltf_zip(("same1.txt", b"1"), ("same2.txt", b"2")).replace(b"same2.txt", b"same1.txt"),
            ("two entries", "'same1.txt'"),
        ),
        "two entries on the same bytes": (zip_with_shared_bytes(), ("overlaps",)),
        "a file that is a folder": (gltf_zip(("data.bin/more.txt", b"x")), ("in another entry that is a file",)),
        "encrypted zip": (marked_encrypted(whole), ("encrypted",)),
        "zip of two gltf": (gltf_zip(("other.gltf", gltf_with_uri())), ("one model", "'other.gltf'")),
        "zip of a gltf and an obj": (gltf_zip(("other.obj", b"v 0 0 0")), ("one model",)),
        "zip of photos": (zipped(("a.png", encoded_image())), ("one model",)),
        "zip of an fbx that is an stl": (zipped(("a.fbx", stl())), ("'a.fbx' holds STL",)),
        "zip of an fbx with a picture of 20 000 pixels": (
            zipped(("a.fbx", fbx()), ("a.png", png_header(20_000, 20_000))),
            (
                "'a.png'",
                "400000000 pixels",
            ),
        ),
        "zip of a gltf and an stl": (gltf_zip(("other.stl", stl())), ("one model", "'other.stl'")),
        "zip of a blend": (zipped(("a.blend", b"BLENDER-v405")), ("Blender file", "scripts")),
        "zip whose gltf names an image of 20 000 pixels": (
            zipped(
                (
                    "model.gltf",
                    json.dumps(
                        gltf() | {"images": [{"uri": "a.png"}], "buffers": [{"byteLength": 44, "uri": "data.bin"}]}
                    ).encode(),
                ),
                ("data.bin", binary()),
                ("a.png", png_header(20_000, 20_000)),
            ),
            ("20000×20000",),
        ),
        "zip packed with bzip2": (whole.replace(b"\x08\x00", b"\x0c\x00"), ("method 12",)),
    }
    return cases


OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def _meshes() -> dict[str, tuple[bytes, str, tuple[str, ...]]]:
    nan = TRIANGLE.copy()
    nan[2, 1] = np.nan
    long = b"f" + b" 1" * 200_000 + b"\n"
    text_stl = b"solid a\nfacet normal 0 0 1\nouter loop\n" + b"vertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
    whole = fbx()
    return {
        "obj with NaN": (OBJ.replace(b"v 1 0 0", b"v nan 0 0"), "a.obj", ("nan",)),
        "obj with inf": (OBJ.replace(b"v 1 0 0", b"v 1 inf 0"), "a.obj", ("inf",)),
        "obj of long numbers": (
            OBJ.replace(b"v 1 0 0", b"v " + b" ".join([b"1" * 20_000] * 3) + b"x"),
            "a.obj",
            ("vertex",),
        ),
        "obj with a word": (
            OBJ.replace(b"v 1 0 0", b"v 1 zero 0"),
            "a.obj",
            (
                "'v 1 zero 0'",
                "three numbers",
            ),
        ),
        "obj with two coordinates": (
            OBJ.replace(b"v 1 0 0", b"v 1 0"),
            "a.obj",
            (
                "'v 1 0'",
                "three numbers",
            ),
        ),
        "obj index 0": (
            OBJ.replace(b"f 1", b"f 0"),
            "a.obj",
            (
                "vertex that does not exist",
                "valid range [0, 3)",
            ),
        ),
        "obj index 4": (
            OBJ.replace(b"f 1", b"f 4"),
            "a.obj",
            (
                "vertex index 3",
                "valid range [0, 3)",
            ),
        ),
        "obj index -4": (
            OBJ.replace(b"f 1", b"f -4"),
            "a.obj",
            (
                "vertex that does not exist",
                "valid range [0, 3)",
            ),
        ),
        "obj index of 30 digits": (OBJ.replace(b"f 1", b"f 1" + b"0" * 29), "a.obj", ("vertex",)),
        "obj without faces": (b"v 0 0 0\nv 1 0 0\n", "a.obj", ("scene is empty",)),
        "obj of one line": (OBJ + long, "a.obj", ("a line of the OBJ", "65536")),
        "obj of one joined line": (OBJ + b"f 1 2 \\\n" * 50_000, "a.obj", ("a line of the OBJ", "65536")),
        "obj in one point": (OBJ.replace(b"1", b"0").replace(b"f 0", b"f 1"), "a.obj", ("no triangle has an area",)),
        "obj of noise": (bytes(range(256)) * 40, "a.obj", ("is not text",)),
        "obj whose face has no corners": (OBJ.replace(b"f 1 2 3", b"f  "), "a.obj", ("scene is empty",)),
        "obj with a library that climbs": (b"mtllib ../a.mtl\n" + OBJ, "a.obj", ("mtllib", "..")),
        "obj with an absolute library": (b"mtllib /etc/passwd\n" + OBJ, "a.obj", ("mtllib", "absolute")),
        "obj with a library on a drive": (b"mtllib C:\\a.mtl\n" + OBJ, "a.obj", ("mtllib", "drive")),
        "obj whose texture climbs": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\nmap_Kd -s 1 1 1 ..\\..\\b.png\n")),
            "a.zip",
            ("map_Kd", ".."),
        ),
        "obj whose texture is absolute": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\n  map_Kd /etc/passwd\n")),
            "a.zip",
            ("map_Kd", "absolute"),
        ),
        "obj whose texture is on the web": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", b"newmtl a\nmap_Bump http://example.com/a.png\n")),
            "a.zip",
            ("map_Bump", "scheme"),
        ),
        "obj whose texture is a bomb": (
            zipped(
                ("a.obj", b"mtllib a.mtl\n" + OBJ),
                ("a.mtl", b"newmtl a\nmap_Kd a.png\n"),
                ("a.png", png_header(30_000, 30_000)),
            ),
            "a.zip",
            (
                "'a.png'",
                "900000000 pixels",
            ),
        ),
        "obj whose materials are noise": (
            zipped(("a.obj", b"mtllib a.mtl\n" + OBJ), ("a.mtl", bytes(256))),
            "a.zip",
            ("MTL is not text",),
        ),
        "stl with a facet too few": (stl(2), "a.stl", ("2 triangles", "184", "134")),
        "stl with a facet too many": (stl() + stl()[84:], "a.stl", ("1 triangles", "134", "184")),
        "stl of ten million": (stl(TEN_MILLION), "a.stl", ("10000000 triangles", "500000084")),
        "stl of none": (stl(0)[:84], "a.stl", ("scene is empty",)),
        "stl of 20 bytes": (b"\0" * 20, "a.stl", ("0 triangles", "84 bytes", "20")),
        "stl with NaN": (stl(corners=nan), "a.stl", ("vertex 2", "nan")),
        "stl in one point": (stl(corners=np.ones((3, 3))), "a.stl", ("scene is empty",)),
        "text stl without facets": (
            b"solid a\nendsolid a\n",
            "a.stl",
            (
                "Blender",
                "End of file",
            ),
        ),
        "text stl cut short": (
            text_stl,
            "a.stl",
            (
                "Blender",
                "End of file",
            ),
        ),
        "text stl cut in a facet": (
            text_stl[:-13] + b"\nendsolid",
            "a.stl",
            (
                "Blender",
                "End of file",
            ),
        ),
        "text stl with NaN": (text_stl.replace(b"vertex 1", b"vertex nan") + b"endsolid", "a.stl", ("nan",)),
        "text stl with words": (
            text_stl.replace(b"vertex 1", b"vertex x") + b"endsolid",
            "a.stl",
            (
                "'vertex x 0 0'",
                "three numbers",
            ),
        ),
        "ply without an end": (ply()[:60], "a.ply", ("no end_header",)),
        "ply without a format": (
            b"ply\nelement vertex 3\nend_header\n",
            "a.ply",
            ("Vertex positions are not present",),
        ),
        "ply of another format": (ply().replace(b"ascii", b"ebcdic"), "a.ply", ("ebcdic", "binary_big_endian")),
        "ply of ten million faces": (ply(face=TEN_MILLION), "a.ply", ("10000000 triangles", "5000000")),
        "ply of a billion vertices": (ply(vertex=10**9), "a.ply", ("1000000000 vertices", "15000000")),
        "ply of -1 vertices": (ply(vertex=-1), "a.ply", ("element vertex -1",)),
        "ply of 10^30 vertices": (ply(vertex=10**30), "a.ply", ("element vertex 1000", "not allowed")),
        "ply of long digits": (ply(body=b"1" * 200_000 + b"x"), "a.ply", ("'111", "in place of a number")),
        "ply cut short": (ply(body=b"0 0 0\n1 0 0\n"), "a.ply", ("Could not read row",)),
        "ply cut in its faces": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1"), "a.ply", ("scene is empty",)),
        "binary ply cut short": (
            ply(body=b"\0" * 30).replace(b"ascii", b"binary_little_endian"),
            "a.ply",
            ("Could not read row",),
        ),
        "binary ply cut in its faces": (
            ply(body=TRIANGLE.tobytes() + b"\3\0\0").replace(b"ascii", b"binary_little_endian"),
            "a.ply",
            ("vertex that does not exist",),
        ),
        "binary ply with NaN": (
            ply(body=nan.tobytes() + b"\3" + struct.pack("<3i", 0, 1, 2)).replace(b"ascii", b"binary_little_endian"),
            "a.ply",
            ("no triangle has an area",),
        ),
        "ply with NaN": (ply(body=b"0 0 0\nnan 0 0\n0 1 0\n3 0 1 2\n"), "a.ply", ("'nan' in place of a number",)),
        "ply with a NaN index": (
            ply(body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1 nan\n"),
            "a.ply",
            ("'nan' in place of a number",),
        ),
        "ply index out of range": (
            ply(body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n"),
            "a.ply",
            (
                "vertex that does not exist",
                "face 0 loop 2: 3",
            ),
        ),
        "ply face of 9999 corners": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n9999 0 1 3\n"), "a.ply", ("Invalid face size",)),
        "ply face of -1 corners": (ply(body=b"0 0 0\n1 0 0\n0 1 0\n-1 0 1 3\n"), "a.ply", ("Invalid face size",)),
        "ply with words": (ply(body=b"0 0 zero\n1 0 0\n0 1 0\n3 0 1 2\n"), "a.ply", ("'zero' in place of a number",)),
        "ply point cloud": (
            ply("element vertex 1\nproperty float x\nproperty float y\nproperty float z\n", b"0 0 0\n"),
            "a.ply",
            ("scene is empty",),
        ),
        "ply without z": (
            ply(
                "element vertex 1\nproperty float x\nproperty float y\n"
                "element face 1\nproperty list uchar int vertex_indices\n"
            ),
            "a.ply",
            ("Vertex positions are not present",),
        ),
        "ply counted in floats": (ply().replace(b"list uchar", b"list float"), "a.ply", ("float", "integers")),
        "ply of unknown type": (ply().replace(b"float z", b"quad z"), "a.ply", ("quad",)),
        "ply with lists of lists": (ply().replace(b"float x", b"list uchar float x"), "a.ply", ("x",)),
        "fbx of version 6100": (fbx(version=6100), "a.fbx", ("version 6100", "7100")),
        "fbx cut in half": (
            whole[: len(whole) // 2],
            "a.fbx",
            (
                "Blender",
                "'Bad DEFLATE data'",
            ),
        ),
        "fbx without its end": (
            whole[:-13],
            "a.fbx",
            (
                "Blender",
                "'Failed to load'",
            ),
        ),
        "fbx of 20 bytes": (whole[:20], "a.fbx", ("version 0", "7100")),
        "fbx without polygons": (fbx_file(), "a.fbx", ("scene is empty",)),
        "fbx with NaN": (fbx(nan), "a.fbx", ("vertex 2", "nan")),
        "fbx nested 70 deep": (
            fbx_nested(70),
            "a.fbx",
            (
                "Blender",
                "'Failed to load'",
            ),
        ),
        "fbx that unpacks to more than it says": (
            fbx(declared=6),
            "a.fbx",
            (
                "Blender",
                "'Bad DEFLATE data'",
            ),
        ),
        "fbx that says four billion numbers": (
            fbx(declared=2**32 - 1),
            "a.fbx",
            (
                "Blender",
                "'Out of memory'",
            ),
        ),
        "fbx with a name of two lines": (fbx(name=b"a\nFRAME 1 b.png"), "a.fbx", ("line break", "FRAME")),
        "text fbx": (b"; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n", "a.fbx", ("as text", "binary FBX")),
    }


def _packages() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    outside = b'#usda 1.0\ndef Mesh "a" ( references = @%s@ ) {}\n'
    return {
        "usdz with compressed entries": (
            usdz(("a.usda", USDA * 9), packed=True),
            ("compressed files are not supported",),
        ),
        "usdz misaligned": (usdz(("a.usda", USDA), aligned=False), ("begins at byte 36", "64")),
        "usdz encrypted": (marked_encrypted(usdz(("a.usda", USDA))), ("encrypted",)),
        "usdz whose first entry is a picture": (
            usdz(("a.png", encoded_image()), ("a.usda", USDA)),
            ("Failed to open layer",),
        ),
        "usdz without entries": (zipped(), ("Failed to open layer",)),
        "usdz with a program": (usdz(("a.usda", USDA), ("run.exe", b"MZ")), ("'run.exe'", "not allowed")),
        "usdz with a script": (usdz(("a.usda", USDA), ("a.py", b"import os")), ("'a.py'", "allowed are usd")),
        "usdz in a usdz": (usdz(("a.usda", USDA), ("b.usdz", usdz(("a.usda", USDA)))), ("archive itself",)),
        "usdz with an entry that climbs": (usdz(("a.usda", USDA), ("../b.png", encoded_image())), ("..",)),
        "usdz whose layer is noise": (usdz(("a.usdc", b"noise" * 20)), ("no USDZ that USD can read", "corrupt")),
        "usdz that names a file": (usdz(("a.usda", outside % b"/etc/passwd")), ("absolute",)),
        "usdz that names a file by scheme": (usdz(("a.usda", outside % b"file:///etc/passwd")), ("scheme",)),
        "usdz that names the web": (usdz(("a.usda", outside % b"https://example.com/a.usd")), ("scheme",)),
        "usdz that climbs": (usdz(("a.usda", outside % b"0/../../b.usd")), ("..",)),
        "usdz of nothing": (usdz(("a.usda", b'#usda 1.0\ndef Xform "a" {}\n')), ("scene is empty",)),
        "usdz with a picture of 20 000 pixels": (
            usdz(("a.usda", USDA), ("a.png", png_header(20_000, 20_000))),
            (
                "'a.png'",
                "400000000 pixels",
            ),
        ),
        "usdz cut in half": (usdz(("a.usda", USDA))[:150], ("cut short",)),
    }


def _others() -> dict[str, tuple[bytes, str, tuple[str, ...]]]:
    blend = b"BLENDER17-01v0500" + b"\0" * 200
    zstandard = b"\x28\xb5\x2f\xfd" + b"\0" * 50 + b"\xb1\xea\x92\x8f"
    return {
        "empty": (b"", "a.glb", ("empty", "allowed are GLB")),
        "one byte": (b"g", "a.glb", ("no 3D model",)),
        "blend": (blend, "a.blend", ("Blender file", "scripts", "GLB")),
        "blend as glb": (blend, "a.glb", ("Blender file", "scripts")),
        "blend with gzip": (gzip.compress(blend), "a.blend", ("Blender file",)),
        "blend with gzip as glb": (gzip.compress(blend), "a.glb", ("Blender file",)),
        "blend with zstandard": (zstandard[:20], "a.blend", ("Blender file",)),
        "blend with zstandard as glb": (zstandard, "a.glb", ("Blender file",)),
        "gzip": (gzip.compress(b"x" * 100), "a.glb", ("compressed file",)),
        "jpeg": (encoded_image(format="JPEG"), "a.glb", ("a JPEG",)),
        "png as obj": (encoded_image(), "a.obj", ("a PNG",)),
        "pdf": (b"%PDF-1.7\n" + b"0" * 100, "a.stl", ("a PDF",)),
        "html": (b"<!DOCTYPE html><html><body>404</body></html>", "a.gltf", ("HTML",)),
        "xml": (b"<?xml version='1.0'?><COLLADA/>", "a.dae", ("XML",)),
        "program": (b"\x7fELF" + b"\0" * 400, "a.glb", ("a program",)),
        "heic": (b"\0\0\0\x18ftypheic" + b"\0" * 50, "a.usdz", ("HEIC",)),
        "usda without its package": (USDA, "a.usda", ("USDZ",)),
        "text": (b"this is a chair.glb, believe me", "a.glb", ("no 3D model",)),
        "noise": (bytes(range(1, 256)) * 40, "a.glb", ("no 3D model",)),
        "gltf whose buffer is elsewhere": (gltf_with_uri(), "a.gltf", ("'data.bin'", "zip")),
        "gltf that is a word": (b"{]", "a.gltf", ("JSON is broken",)),
        "a name with nothing in it": (b"\1\2\3", "", ("no 3D model",)),
    }


def _corpus() -> dict[str, Case]:
    cases = {name: Case(data, "model.glb", words) for name, (data, words) in bad_glbs().items()}
    cases |= {name: Case(data, "model.zip", words) for name, (data, words) in _archives().items()}
    cases |= {name: Case(data, "model.usdz", words) for name, (data, words) in _packages().items()}
    return cases | {name: Case(*case) for name, case in (_meshes() | _others()).items()}


CORPUS = _corpus()
