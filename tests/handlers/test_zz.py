def test_a(make_trainer, tmp_path):
    import time
    t=time.process_time(); tr=make_trainer("vxm_adacs", max_epochs=4, warm_up=[1,1]); print("build", time.process_time()-t)
    t=time.process_time(); tr.run(); print("run", time.process_time()-t)
    print((tmp_path/"run/log.csv").read_text())
def test_b(make_trainer, tmp_path):
    tr=make_trainer("vxm_mse", max_epochs=10, learning_rate=5e-3); tr.run(); 
    print((tmp_path/"run/log.csv").read_text())
