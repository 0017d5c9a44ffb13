"""Pictures that explain a model on its data: which there are, and what each is drawn from."""

from firstlight.gallery import drawings as drawings
from firstlight.gallery.moments import PICTURES, Moment, Picture, copied, evaluating, picture, stage_of, suitable

__all__ = ["PICTURES", "Moment", "Picture", "copied", "evaluating", "picture", "stage_of", "suitable"]
