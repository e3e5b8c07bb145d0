internal import GridModel
