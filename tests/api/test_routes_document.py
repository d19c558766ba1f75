#!/usr/bin/env python3
"""doc/routes.md says what the table of routes says."""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "http"))
from wire import BUILD, SOURCE, run


def document_is_made():
    """doc/routes.md is what tests/api/print_routes prints"""
    made = subprocess.run([os.path.join(BUILD, "tests/api/print_routes")], check=True, stdout=subprocess.PIPE).stdout.decode()
    with open(os.path.join(SOURCE, "doc/routes.md"), encoding="utf-8") as f:
        assert f.read() == made, "make it anew: tests/api/print_routes > doc/routes.md"


run([document_is_made])
