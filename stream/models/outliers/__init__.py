"""What is odd among what is usual: half-space trees, isolation trees and robust scores, online."""

from stream.models.outliers.detector import OutlierDetector

__all__ = ["OutlierDetector"]
