"""Topic prediction: which topic a text is of, and what a wrong answer costs (docs/placement.md)."""

from __future__ import annotations

from moeram.routing.topics.classifier import LinearClassifier, TopicClassifier, load_classifier, predict
from moeram.routing.topics.evaluation import Evaluation, evaluate, usage_tables
from moeram.routing.topics.prediction import confusion_of_accuracy, predict_topic, read_confusion
from moeram.routing.topics.training import TrainingOptions, train
from moeram.routing.topics.windows import WINDOW_WORDS, Windows, read_text, read_texts, split_windows

__all__ = [
    "WINDOW_WORDS",
    "Evaluation",
    "LinearClassifier",
    "TopicClassifier",
    "TrainingOptions",
    "Windows",
    "confusion_of_accuracy",
    "evaluate",
    "load_classifier",
    "predict",
    "predict_topic",
    "read_confusion",
    "read_text",
    "read_texts",
    "split_windows",
    "train",
    "usage_tables",
]
