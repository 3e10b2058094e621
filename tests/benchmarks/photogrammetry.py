import numpy as np
from scipy.spatial import cKDTree

from orchestrator.imaging.rasterize import depth_map

POINTS = 60_000
THRESHOLD = 0.01

def sampled(mesh, cameras, slack):
    """Points on the surface that at least one camera sees."""
    v, t = mesh
    c = v[t]
    area = np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1)
    r = np.random.default_rng(1)
    tri = r.choice(len(t), 4 * POINTS, p=area / area.sum())
    a, b = r.random((2, len(tri)))
    flip = a + b > 1
    a, b = np.where(flip, 1 - a, a), np.where(flip, 1 - b, b)
    p = c[tri, 0] + a[:, None] * (c[tri, 1] - c[tri, 0]) + b[:, None] * (c[tri, 2] - c[tri, 0])
    seen = np.zeros(len(p), bool)
    for cam in cameras:
        d = depth_map(cam, v, t).depth
        px, z = cam.project(p)
        col, row = np.floor(px).astype(int).T
        ok = (col >= 0) & (col < cam.size[0]) & (row >= 0) & (row < cam.size[1])
        seen[ok] |= z[ok] < d[row[ok], col[ok]] + slack
    return p[seen][:POINTS]

def f_score(made, truth, cameras):
    diagonal = np.linalg.norm(np.ptp(truth[0], axis=0))
    ours, theirs = (sampled(mesh, cameras, 0.003 * diagonal) for mesh in (made, truth))
    # truth points hidden: all of the truth's surface counts for precision
    reach = THRESHOLD * diagonal
    precision = (cKDTree(theirs).query(ours)[0] < reach).mean()
    recall = (cKDTree(ours).query(theirs)[0] < reach).mean()
    return precision, recall, 2 * precision * recall / (precision + recall)
