"""A small sound Pascal VOC dataset for tests, to be broken by them."""

from tests.support.small_coco import picture

VOC = """<annotation>
  <filename>{filename}</filename>
  <size><width>40</width><height>30</height><depth>3</depth></size>
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>3</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>2</xmin><ymin>4</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>
  </object>
  <object><name> cat </name>
    <bndbox><xmin>5.5</xmin><ymin>1</ymin><xmax>5.5</xmax><ymax>2</ymax></bndbox></object>
</annotation>
"""
VOC_BOXES = [(0, 2, 40, 28, "dog"), (4.5, 0, 1, 2, "cat")]


def write_voc(folder, text=VOC, xml="Annotations", images="JPEGImages", names="ab"):
    """Write an XML and an image of each name; returns the folder."""
    for place in (xml, images):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        picture(seed=seed).save(folder / images / f"{name}.jpg")
        (folder / xml / f"{name}.xml").write_text(text.replace("{filename}", f"{name}.jpg"))
    return folder
