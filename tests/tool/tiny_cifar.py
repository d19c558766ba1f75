"""A data set in CIFAR-100's binary layout, small and learnable, made from a seed. For the tests of the programs."""
import os, random


def write_records(path, count, seed):
    """count records: coarse label, fine label, three planes of 32x32. Of the 100 classes ten occur; a class is how
    bright each plane is, under noise."""
    r = random.Random(seed)
    noise = [bytes(r.randrange(90) for _ in range(1024)) for _ in range(16)]
    with open(path, "wb") as f:
        for _ in range(count):
            label = r.randrange(10)
            f.write(bytes([0, label]))
            for plane in range(3):
                table = bytes(min(255, v + (label >> plane & 1) * 130 + (label == 9) * 60) for v in range(256))
                f.write(r.choice(noise).translate(table)[r.randrange(1024):].ljust(1024, bytes([r.randrange(256)])))


def write_set(folder, train=1200, test=200):
    os.makedirs(folder, exist_ok=True)
    write_records(os.path.join(folder, "train.bin"), train, 1)
    write_records(os.path.join(folder, "test.bin"), test, 2)
    for name, n in (("fine", 100), ("coarse", 20)):
        with open(os.path.join(folder, name + "_label_names.txt"), "w") as f:
            f.writelines(f"{name}_{i}\n" for i in range(n))
    return "cifar100:" + folder
