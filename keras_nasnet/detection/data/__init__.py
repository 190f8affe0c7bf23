"""Annotated images: COCO, Pascal VOC, and the records that training reads."""
