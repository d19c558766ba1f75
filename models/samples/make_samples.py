#!/usr/bin/python3
"""Paints the sample images of ./quickstart: simple scenes of our own making, named after what they show.

Needs Debian's python3-numpy and python3-pil. Run it in this directory; the images are committed, so only who changes
them needs this script.
"""
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE, SCALE = 128, 4
SIDE = SIZE * SCALE
rng = np.random.default_rng(7)


def gradient(top, bottom, y0=0.0, y1=1.0):
    """A vertical colour gradient between two heights (fractions of the side)."""
    t = np.clip((np.arange(SIDE) / SIDE - y0) / (y1 - y0), 0, 1)[:, None, None]
    return np.broadcast_to(np.array(top) * (1 - t) + np.array(bottom) * t, (SIDE, SIDE, 3)).copy()


def clouds(octaves=5, seed=0):
    """Smooth noise in 0..1: octaves of random grids, enlarged."""
    r, total, weight = np.random.default_rng(seed), np.zeros((SIDE, SIDE)), 0
    for o in range(octaves):
        n = 3 * 2 ** o
        grid = Image.fromarray((r.random((n, n)) * 255).astype("uint8")).resize((SIDE, SIDE), Image.BICUBIC)
        total += np.asarray(grid) / 255 * 0.6 ** o
        weight += 0.6 ** o
    return total / weight


def sphere(cx, cy, radius, colour, background, light=(-0.5, -0.6, 0.62), rough=0.0):
    """A lit ball over the background."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    dx, dy = (x - cx) / radius, (y - cy) / radius
    inside = dx ** 2 + dy ** 2 < 1
    dz = np.sqrt(np.clip(1 - dx ** 2 - dy ** 2, 0, 1))
    lit = np.clip(dx * light[0] + dy * light[1] + dz * light[2], 0, 1)
    shade = 0.35 + 0.65 * lit + rough * (clouds(7, 3) - 0.5)
    ball = np.array(colour)[None, None] * shade[..., None] + 255 * 0.5 * lit[..., None] ** 24
    out = background.copy()
    shadow = ((x - cx - 0.06) / radius) ** 2 + ((y - cy - radius * 0.92) / (radius * 0.22)) ** 2
    out *= (1 - 0.5 * np.exp(-shadow * 1.5))[..., None]
    out[inside] = ball[inside]
    return out


def save(name, pixels, grain=4.0):
    """Grain, antialiasing, and the file."""
    pixels = pixels + rng.normal(0, grain, pixels.shape)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).resize((SIZE, SIZE), Image.LANCZOS)
    image.save(name, **({"quality": 90} if name.endswith(".jpg") else {"optimize": True}))


def orange():
    save("orange.jpg", sphere(0.5, 0.52, 0.38, (250, 140, 20), gradient((250, 248, 244), (236, 232, 226)), rough=0.15))


def apple():
    pixels = sphere(0.5, 0.55, 0.36, (200, 24, 30), gradient((252, 252, 252), (238, 238, 238)), rough=0.25)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
    draw = ImageDraw.Draw(image)
    draw.line([(256, 120), (268, 70), (290, 36)], fill=(84, 52, 20), width=14)
    draw.ellipse([286, 44, 372, 92], fill=(70, 140, 40))
    save("apple.jpg", np.asarray(image.filter(ImageFilter.GaussianBlur(2))).astype(float))


def sunflower():
    image = Image.fromarray(gradient((70, 130, 60), (30, 80, 30)).astype("uint8"))
    draw = ImageDraw.Draw(image)
    for ring, (length, colour) in enumerate([(230, (236, 170, 10)), (205, (252, 200, 20)), (180, (255, 214, 50))]):
        for k in range(18):
            a = 2 * np.pi * (k + ring / 3) / 18
            tip = (256 + length * np.cos(a), 256 + length * np.sin(a))
            side = [(256 + 150 * np.cos(a + s), 256 + 150 * np.sin(a + s)) for s in (-0.17, 0.17)]
            root = [(256 + 60 * np.cos(a + s), 256 + 60 * np.sin(a + s)) for s in (-0.2, 0.2)]
            draw.polygon([root[0], side[0], tip, side[1], root[1]], fill=colour)
    draw.ellipse([166, 166, 346, 346], fill=(96, 56, 18))
    draw.ellipse([206, 206, 306, 306], fill=(60, 34, 14))
    save("sunflower.png", np.asarray(image.filter(ImageFilter.GaussianBlur(2))).astype(float), grain=8)


def sea():
    sky, water = gradient((120, 170, 225), (215, 230, 240), 0, 0.42), gradient((40, 100, 150), (10, 50, 95), 0.42, 1)
    y = np.arange(SIDE)[:, None] / SIDE
    stretched = np.asarray(Image.fromarray((clouds(6, 5) * 255).astype("uint8")).resize((SIDE * 3, SIDE))
                           )[:, :SIDE] / 255
    waves = (stretched - 0.5)[..., None] * 90
    save("sea.png", np.where((y < 0.42)[..., None], sky + (clouds(5, 9)[..., None] - 0.5) * 30, water + waves))


def plain():
    sky, grass = gradient((90, 150, 220), (200, 222, 240), 0, 0.5), gradient((150, 170, 80), (90, 130, 40), 0.5, 1)
    y = np.arange(SIDE)[:, None] / SIDE
    save("plain.jpg", np.where((y < 0.52)[..., None], sky + (clouds(5, 1)[..., None] - 0.5) * 40,
                               grass + (clouds(7, 2)[..., None] - 0.5) * 50))


def cloud():
    puff = np.clip((clouds(6, 12) - 0.42) * 4, 0, 1)[..., None]
    save("cloud.jpg", gradient((50, 110, 200), (130, 180, 235)) * (1 - puff) + np.array((250, 250, 252)) * puff)


def road():
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    out = np.where((y < 0.4)[..., None], gradient((110, 165, 230), (210, 228, 245), 0, 0.4),
                   gradient((150, 150, 90), (110, 120, 60), 0.4, 1) + (clouds(7, 4)[..., None] - 0.5) * 60)
    depth = (y - 0.38)
    inside = (np.abs(x - 0.5) < 0.03 + depth * 0.75) & (y > 0.4)
    out[inside] = (np.array((96, 96, 100)) + (clouds(7, 6)[..., None] - 0.5) * 25)[inside]
    line = (np.abs(x - 0.5) < 0.004 + depth * 0.025) & (y > 0.4) & ((1 / np.maximum(depth, 1e-3)) % 1.6 < 0.8)
    out[line] = (235, 225, 150)
    save("road.jpg", out)


for paint in (orange, apple, sunflower, sea, plain, cloud, road):
    paint()
