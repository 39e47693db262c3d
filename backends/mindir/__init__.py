"""MINDIR files: networks that `mindspore.export` wrote, read without MindSpore; nothing runs."""
