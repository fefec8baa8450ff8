"""The endings and names of formats; nothing heavy is imported, so that programs can tell them."""

NIFTI = (".nii.gz", ".nii")
ITK = (".mha", ".mhd", ".nrrd", ".nhdr")
PAIRS = (".hdr", ".img", ".hdr.gz", ".img.gz")
MGH = (".mgz", ".mgh")
DICOM = (".dcm", ".ima", ".dicom")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")
TRANSFORMS = (".h5", ".hdf5", ".tfm")
LINEAR = (".mat", ".txt")
"""Of ITK's transforms without a field: read, not written."""
FORMATS = {"nifti": NIFTI, "itk": TRANSFORMS, "ants": NIFTI, "l2r": NIFTI}
"""Of fields: format -> the endings of its files, the usual one first; see `fields`."""
MESHES = (".vtk", ".ply", ".stl", ".obj")
TABLES = (".csv", ".tsv", ".txt", ".pts")
POINTS = (*TABLES, ".fcsv", ".mrk.json", *MESHES)
AXES = ("LPS", "RAS")
"""Of points whose file does not say it."""
