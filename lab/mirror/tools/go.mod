module hale/lab/tools

go 1.24
